//! Agents with several listeners: whoever comes in through one is led on through it.

use private_postgres::free_port;

use crate::kafka::{Kafka, at_offsets, values};
use crate::running::{Running, agent_env_of};

#[test]
fn a_client_of_each_listener_is_led_to_the_addresses_of_that_listener() {
    let internal = [free_port().unwrap(), free_port().unwrap()];
    let stack = Running::start(2, |config| {
        for (n, inside) in internal.iter().enumerate() {
            let outside = config.agents[n].kafka;
            // Two names of one machine stand for two networks.
            let listeners =
                format!("INTERNAL://:{inside}=127.0.0.1:{inside},EXTERNAL://:{outside}=localhost:{outside}");
            agent_env_of(config, n, "YAKS_LISTENERS", &listeners);
        }
    });
    let external = stack.stack().config().agents.iter().map(|agent| agent.kafka);
    let networks: [(&str, Vec<u16>); 2] = [("127.0.0.1", internal.to_vec()), ("localhost", external.collect())];
    for (host, ports) in networks {
        let mut addresses: Vec<String> = ports.iter().map(|port| format!("{host}:{port}")).collect();
        let kafka = Kafka::new(addresses[1].clone());
        addresses.sort();
        assert_eq!(kafka.broker_addresses(), addresses);
        let topic = kafka.create_topic("through", 4);
        for partition in 0..4 {
            let values = values(20);
            kafka.produce_all(&topic, partition, &values, &[]);
            assert_eq!(kafka.read(&topic, partition, 0, 20), at_offsets(0, &values));
        }
    }
}
