//! Start and end of a connection in memory. There is no schema that could be old.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::Connection;
use crate::{Lifecycle, MetastoreError, Roles, Schema};

#[async_trait]
impl Lifecycle for Connection {
    async fn ping(&self) -> Result<(), MetastoreError> {
        self.call("ping", |_, _| ()).await
    }

    async fn renew_login(&self) -> Result<(), MetastoreError> {
        Ok(())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Schema for Connection {
    async fn migrate(&self) -> Result<(), MetastoreError> {
        self.call("migrate", |_, _| ()).await
    }

    async fn make_roles(&self, _roles: &Roles) -> Result<(), MetastoreError> {
        Ok(())
    }

    async fn check_schema(&self) -> Result<(), MetastoreError> {
        self.call("check_schema", |_, _| ()).await
    }
}
