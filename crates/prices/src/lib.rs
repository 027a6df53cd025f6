//! What AWS takes for what yaks asks of it, and what a load is taken to need: `prices.toml`, and what one of each costs. Pure.

use serde::Deserialize;

/// AWS's, of 1000 MB.
const GB: f64 = 1e9;
const THOUSAND: f64 = 1e3;
const MILLION: f64 = 1e6;

/// What things cost, and what a load is taken to need.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "prices.toml describes them, beside their values")]
pub struct Prices {
    pub region: String,
    pub date: String,
    pub hours_per_month: f64,
    pub s3: S3,
    pub sqs: Sqs,
    pub lambda: Lambda,
    pub fargate: Fargate,
    pub aurora: Aurora,
    pub network: Network,
    pub yaks: Yaks,
    pub kafka: Kafka,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct S3 {
    pub put_thousand: f64,
    pub get_thousand: f64,
    pub gb_month: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Sqs {
    pub million_requests: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Lambda {
    pub million_requests: f64,
    pub gb_second: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Fargate {
    pub vcpu_hour: f64,
    pub gb_hour: f64,
    pub disk_gb_hour_above_20: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Aurora {
    pub acu_hour: f64,
    pub million_ios: f64,
    pub gb_month: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Network {
    pub cross_zone_gb: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Yaks {
    pub vcpus: f64,
    pub memory_gb: f64,
    pub disk_gb: f64,
    pub acus: f64,
    pub standby: bool,
    pub footer_gets_per_object: f64,
    pub page_bytes: f64,
    pub invocation_seconds: f64,
    pub function_memory_gb: f64,
    pub sqs_requests_per_event: f64,
    pub sqs_empty_polls_per_second: f64,
    pub sweeps_per_minute: f64,
    pub sweep_seconds: f64,
    pub ios_per_commit: f64,
    pub index_row_bytes: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Kafka {
    pub replicas: u32,
    pub brokers_min: u32,
    pub broker_hour: f64,
    pub broker_write_mib_per_s: f64,
    pub ebs_gb_month: f64,
    pub ebs_used_share: f64,
}

/// The file that this program was built with.
pub const BUILT_IN: &str = include_str!("../prices.toml");

impl Prices {
    /// Reads a price file.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Those of [`BUILT_IN`].
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test reads the file")
    }

    /// Dollars for a PUT, or a LIST.
    pub fn put(&self) -> f64 {
        self.s3.put_thousand / THOUSAND
    }

    /// Dollars for a GET.
    pub fn get(&self) -> f64 {
        self.s3.get_thousand / THOUSAND
    }

    /// Dollars for bytes that S3 keeps for an hour.
    pub fn stored_hour(&self, bytes: f64) -> f64 {
        bytes / GB * self.s3.gb_month / self.hours_per_month
    }

    /// Dollars for a request to a queue.
    pub fn queue_request(&self) -> f64 {
        self.sqs.million_requests / MILLION
    }

    /// Dollars for taking an S3 event through its queue.
    pub fn queued_event(&self) -> f64 {
        self.yaks.sqs_requests_per_event * self.queue_request()
    }

    /// Dollars for a call of the function that takes so many seconds.
    pub fn function_call(&self, seconds: f64) -> f64 {
        self.lambda.million_requests / MILLION + seconds * self.yaks.function_memory_gb * self.lambda.gb_second
    }

    /// Dollars for a call of the function that commits an object, or finds it committed.
    pub fn invocation(&self) -> f64 {
        self.function_call(self.yaks.invocation_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_that_infra_names_too_are_the_same() {
        let infra: serde_json::Value = serde_json::from_str(include_str!("../../../infra/prices.json")).unwrap();
        let ours = Prices::built_in();
        for (name, price) in [
            ("hours_per_month", ours.hours_per_month),
            ("fargate_arm_vcpu_hour", ours.fargate.vcpu_hour),
            ("fargate_arm_gb_hour", ours.fargate.gb_hour),
            ("fargate_disk_gb_hour_above_20", ours.fargate.disk_gb_hour_above_20),
            ("aurora_acu_hour", ours.aurora.acu_hour),
            ("lambda_arm_gb_second", ours.lambda.gb_second),
            ("lambda_million_requests", ours.lambda.million_requests),
        ] {
            assert_eq!(infra[name].as_f64(), Some(price), "{name}");
        }
        assert_eq!(infra["date"].as_str(), Some(ours.date.as_str()));
    }

    #[test]
    fn one_of_each_costs_its_part_of_what_the_file_says_of_many() {
        let prices = Prices::built_in();
        let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 1e-9;
        assert!(near(1000.0 * prices.put(), 0.005) && near(1000.0 * prices.get(), 0.0004));
        assert!(near(730.0 * prices.stored_hour(1e9), 0.023));
        assert!(near(1e6 * prices.queued_event(), 3.0 * 0.4));
        assert!(near(1e6 * prices.function_call(0.0), 0.2));
        let seconds = prices.function_call(8.0) - prices.function_call(4.0);
        assert!(
            near(seconds, prices.lambda.gb_second),
            "four seconds of a quarter of a GB"
        );
    }

    #[test]
    fn a_price_that_nobody_knows_is_refused() {
        let text = format!("{BUILT_IN}\ncoffee = 3.0\n");
        assert!(Prices::parse(&text).unwrap_err().to_string().contains("coffee"));
    }
}
