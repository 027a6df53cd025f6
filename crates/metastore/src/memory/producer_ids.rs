//! Producer ids in memory.

use async_trait::async_trait;
use types::ProducerId;

use super::Connection;
use crate::{MetastoreError, ProducerIds};

#[async_trait]
impl ProducerIds for Connection {
    async fn allocate_producer_id(&self) -> Result<ProducerId, MetastoreError> {
        let allocate = self.call("allocate_producer_id", |tables, _| {
            tables.producer_ids += 1;
            ProducerId(tables.producer_ids)
        });
        allocate.await
    }
}
