//! Channels: opened, asked for, dropped; and requests forgotten once nobody may ask for them any more.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use sluice_domain::{Channel, ChannelName, Grant, TableRef};
use tokio_util::sync::CancellationToken;

use super::RowsError;
use crate::{Ingest, IngestError};

/// How often old requests are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// How many are forgotten in one transaction, so that others do not wait long for theirs.
const FORGET_AT_ONCE: u32 = 5000;

/// A channel and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStatus {
    /// The channel.
    pub channel: Channel,
    /// The offset of its last row in the table; none where there is none.
    pub last_committed_offset: Option<i64>,
}

impl Ingest {
    /// Open a channel, or open it again: whoever opened it before is fenced off, and what was under way has its outcome
    /// when this returns, so that the offset stays as it is until rows are sent in the new epoch.
    ///
    /// # Errors
    /// [`RowsError::ChannelBusy`] while rows of it are under way, [`RowsError::TooManyChannels`], the catalog's or the
    /// store's.
    pub async fn open_channel(
        &self,
        grant: &Grant,
        table: &TableRef,
        name: &ChannelName,
    ) -> Result<ChannelStatus, RowsError> {
        let limit = self.road.pipeline.settings.rows.channels_per_table;
        let opened = self.road.catalog.channels().open(table, name, grant.principal(), limit).await;
        let channel = opened.map_err(IngestError::from)?.ok_or(RowsError::TooManyChannels { limit })?;
        self.quiet(&channel).await?;
        self.status(channel).await
    }

    /// A channel and how far it is.
    ///
    /// # Errors
    /// [`RowsError::NoChannel`], the catalog's or the store's.
    pub async fn find_channel(&self, table: &TableRef, name: &ChannelName) -> Result<ChannelStatus, RowsError> {
        let found = self.road.catalog.channels().find(table, name).await.map_err(IngestError::from)?;
        self.status(found.ok_or_else(|| RowsError::NoChannel(name.clone()))?).await
    }

    /// Drop a channel. Its rows stay; one that is opened under its name begins anew.
    ///
    /// # Errors
    /// [`RowsError::NoChannel`], or the catalog's.
    pub async fn drop_channel(&self, table: &TableRef, name: &ChannelName) -> Result<(), RowsError> {
        let dropped = self.road.catalog.channels().drop(table, name).await.map_err(IngestError::from)?;
        if dropped { Ok(()) } else { Err(RowsError::NoChannel(name.clone())) }
    }

    /// See that no rows of the channel are under way.
    async fn quiet(&self, channel: &Channel) -> Result<(), RowsError> {
        let unfinished = || self.road.catalog.row_groups().unfinished_of(channel.id);
        let Some(upload) = unfinished().await.map_err(IngestError::from)? else { return Ok(()) };
        self.settle(upload).await?;
        match unfinished().await.map_err(IngestError::from)? {
            None => Ok(()),
            Some(_) => Err(RowsError::ChannelBusy(channel.name.clone())),
        }
    }

    async fn status(&self, channel: Channel) -> Result<ChannelStatus, RowsError> {
        let last_committed_offset = match self.road.find_table(&channel.table).await? {
            Some(target) => {
                // A log that lost its tail would tell of an offset that rows have passed.
                self.road.tails.check(target.entry.id, &target.table).await?;
                target.table.last_offset(&channel.id.app_id()).await.map_err(IngestError::from)?
            }
            None => None,
        };
        Ok(ChannelStatus { channel, last_committed_offset })
    }

    /// Forget the keys of old requests, again and again until the server stops.
    pub(crate) async fn forget_requests(self, stopping: CancellationToken) {
        loop {
            if let Err(error) = self.forget_old_requests().await {
                tracing::warn!(%error, "could not forget the keys of old requests");
            }
            if tokio::time::timeout(FORGET_EVERY, stopping.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    async fn forget_old_requests(&self) -> Result<(), IngestError> {
        let hours = TimeDelta::hours(self.road.pipeline.settings.rows.key_hours.into());
        while self.road.catalog.row_groups().forget_requests(Utc::now() - hours, FORGET_AT_ONCE).await?
            >= u64::from(FORGET_AT_ONCE)
        {}
        Ok(())
    }
}
