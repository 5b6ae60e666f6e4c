//! What tables looked like: the newest is kept.

use sluice_catalog::KeptDescription;
use sluice_domain::TableId;
use uuid::Uuid;

use crate::samples::{Lake, instant};

fn kept(table: TableId, version: u64, body: &str) -> KeptDescription {
    KeptDescription { table, version, body: body.into(), kept_at: instant("2026-01-31T23:59:58Z") }
}

#[tokio::test]
async fn the_newest_description_of_each_table_is_kept() {
    let lake = Lake::open().await;
    let (flights, planes) = (lake.active_table("nyc.flights").await.id, lake.active_table("nyc.planes").await.id);
    assert_eq!(lake.catalog.descriptions().find(flights).await.unwrap(), None);
    let nobody = TableId(Uuid::now_v7());
    let many = [kept(flights, 3, "three"), kept(nobody, 0, "none"), kept(planes, 0, "zero"), kept(flights, 2, "two")];
    lake.catalog.descriptions().keep(&many).await.unwrap();
    assert_eq!(lake.catalog.descriptions().find(flights).await.unwrap(), Some(kept(flights, 3, "three")));
    assert_eq!(lake.catalog.descriptions().find(planes).await.unwrap(), Some(kept(planes, 0, "zero")));
    assert_eq!(lake.catalog.descriptions().find(nobody).await.unwrap(), None);
    lake.catalog.descriptions().keep(&[kept(flights, 3, "the same version again")]).await.unwrap();
    let found = lake.catalog.descriptions().find(flights).await.unwrap().unwrap();
    assert_eq!(found.body, "the same version again");
}
