//! Requests that go into the table together, as one upload.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use sha2::{Digest as _, Sha256};
use sluice_catalog::{NewGroup, NewUpload, RowRequest};
use sluice_domain::{Format, Landed, TableRef, UploadEntry, UploadId, UploadState};
use sluice_table::Transaction;

use super::{
    body::{NO_BAD_ROWS, options},
    request::Waiting,
};

/// The bytes of a group and what the ledger is told of it.
pub(super) struct Group {
    pub(super) entered: NewGroup,
    /// The records of all requests, one a line.
    pub(super) lines: Bytes,
}

impl Group {
    /// The group of these requests, of which there is one at least.
    pub(super) fn of(id: UploadId, table: &TableRef, requests: &[Waiting]) -> Self {
        let mut lines = BytesMut::with_capacity(requests.iter().map(|request| request.lines.len()).sum());
        requests.iter().for_each(|request| lines.extend_from_slice(&request.lines));
        let options = match requests {
            [request] if request.is_alone => options(request.format, request.bad_rows),
            _ => options(Format::Ndjson, NO_BAD_ROWS),
        };
        let landed = Landed {
            raw_path: format!("uploads/{}/{}/{id}.{}", table.namespace, table.table, options.format),
            size_bytes: lines.len() as u64,
            sha256: hex::encode(Sha256::digest(&lines)),
            landed_at: Utc::now(),
        };
        let principals: BTreeSet<&str> = requests.iter().map(|request| request.principal.as_str()).collect();
        let upload = NewUpload {
            id,
            table: table.clone(),
            principal: principals.into_iter().collect::<Vec<_>>().join(", "),
            idempotency_key: None,
            file_name: None,
            options,
            landed,
            started_at: requests.iter().map(|request| request.started_at).min().unwrap_or_else(Utc::now),
        };
        let requests = requests.iter().map(|request| request.record.clone()).collect();
        Self { entered: NewGroup { upload, requests }, lines: lines.freeze() }
    }

    /// Where it gets the channels of its requests to, as the table's log has it.
    pub(super) fn offsets(&self) -> Vec<Transaction> {
        let offsets = self.entered.requests.iter().filter_map(|request| request.offset);
        offsets.map(|offset| Transaction { app_id: offset.channel.app_id(), sequence: offset.offset }).collect()
    }

    /// The request that is of this channel.
    pub(super) fn of_channel(&self, app_id: &str) -> Option<usize> {
        let is_of = |request: &RowRequest| request.offset.is_some_and(|offset| offset.channel.app_id() == app_id);
        self.entered.requests.iter().position(is_of)
    }

    /// Whether somebody may ask for it again.
    pub(super) fn is_asked_again(&self) -> bool {
        self.entered.requests.iter().any(|request| request.key.is_some() || request.offset.is_some())
    }

    /// What the ledger will have of it once it is entered.
    pub(super) fn entry(&self, node: u32) -> UploadEntry {
        let upload = self.entered.upload.clone();
        UploadEntry {
            id: upload.id,
            table: upload.table,
            table_id: None,
            principal: upload.principal,
            idempotency_key: None,
            file_name: None,
            options: upload.options,
            landed: upload.landed,
            started_at: upload.started_at,
            node,
            state: UploadState::Landed,
            writer: None,
            sequence: None,
            prepared: None,
            version: None,
            rows: None,
            committed_at: None,
            failure: None,
        }
    }
}
