//! Traces of frames, for a collector that speaks OTLP over HTTP. The variables of OpenTelemetry say where it is
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`), how many frames are traced (`OTEL_TRACES_SAMPLER`), and the rest.

use super::{COLLECTORS, TRACES};
use crate::error::{Kind, fault};
use anyhow::Result;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Sends traces from a thread of its own. What is left is sent when it is dropped.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins; nothing is sent yet.
    ///
    /// # Errors
    /// 78 for a collector that cannot be.
    pub fn start() -> Result<Self> {
        if let Some(name) = COLLECTORS
            .iter()
            .find(|name| std::env::var(name).is_ok_and(|url| url.starts_with("https:")))
        {
            let text = format!("{name} is https://, which is not spoken: wanted http://, as to a collector on this machine");
            return Err(fault(Kind::Config, text));
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
        let exporter = exporter.map_err(|error| {
            let text = format!("no traces can be sent ({error}): wanted OTEL_EXPORTER_OTLP_ENDPOINT as in http://127.0.0.1:4318");
            fault(Kind::Config, text)
        })?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Self(provider))
    }

    /// What hears of spans.
    pub fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(|span| span.target() == TRACES))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}
