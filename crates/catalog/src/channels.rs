//! The channels of tables.

use async_trait::async_trait;
use sluice_domain::{Channel, ChannelName, TableRef};

use crate::CatalogError;

/// The channels.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Open a channel, which fences off whoever opened it before. A new one is made where the table has fewer than
    /// `limit`; none is given where it has not.
    async fn open(
        &self,
        table: &TableRef,
        name: &ChannelName,
        principal: &str,
        limit: u32,
    ) -> Result<Option<Channel>, CatalogError>;

    /// The channel of this name.
    async fn find(&self, table: &TableRef, name: &ChannelName) -> Result<Option<Channel>, CatalogError>;

    /// Forget a channel; says whether there was one. Under its name another one can be opened, which begins anew.
    async fn drop(&self, table: &TableRef, name: &ChannelName) -> Result<bool, CatalogError>;
}
