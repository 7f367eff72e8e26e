//! What the metrics of this service mean.

/// Describes those of every service: there are no others.
pub fn describe() {
    service_kit::metrics::describe("payment-sandbox", env!("CARGO_PKG_VERSION"), &[]);
}
