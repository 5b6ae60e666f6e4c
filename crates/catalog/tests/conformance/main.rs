//! What every backend of the catalog must do, told through the catalog's public interface alone.

#[cfg(test)]
mod samples;

#[cfg(test)]
mod contracts;
#[cfg(test)]
mod descriptions;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod inheritance;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod monitoring_alerts;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod partials;
#[cfg(test)]
mod pipelines;
#[cfg(test)]
mod plain_commits;
#[cfg(test)]
mod quality;
#[cfg(test)]
mod row_groups;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod upload_commits;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod views;
#[cfg(test)]
mod webhooks;
