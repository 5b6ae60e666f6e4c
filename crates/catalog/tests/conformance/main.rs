//! What every backend of the catalog must do, told through the catalog's public interface alone.

#[cfg(test)]
mod samples;

#[cfg(test)]
mod contracts;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod partials;
#[cfg(test)]
mod plain_commits;
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
mod upload_commits;
#[cfg(test)]
mod uploads;
