//! `capstan schema`

use capstan_core::{crd, documents};
use clap::ValueEnum;

use crate::error::{CommandResult, Done};
use crate::printer::Printer;

/// Which schema.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  capstan schema fleet > fleet.schema.json\n  capstan schema crd | kubectl apply -f -"
)]
pub(crate) struct Args {
    /// The document
    #[arg(value_enum)]
    document: Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Document {
    /// `kind: Fleet`
    Fleet,
    /// `kind: WorkloadCluster`
    Workloadcluster,
    /// The custom resource definition of `workloadclusters.capstan.dev`
    Crd,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> CommandResult {
    let schema = match args.document {
        Document::Fleet => documents::fleet_schema(),
        Document::Workloadcluster => documents::workload_cluster_schema(),
        Document::Crd => crd::crd(),
    };
    printer.result(&schema, || format!("{schema:#}"))?;
    Ok(Done::Done)
}
