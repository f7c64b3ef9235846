//! What services on one PostgreSQL say to one another, by its LISTEN and NOTIFY. Nothing of it is kept: who was away
//! has missed it.

use std::time::Duration;

use sqlx::postgres::PgListener;

use super::{Store, StoreError};

/// Where they say it. Each database has its own of that name.
const CHANNEL: &str = "bedside";
/// Bytes of a notice: PostgreSQL's limit is 8,000, with its name.
pub const NOTICE_BYTES: usize = 7_900;
/// The whole of saying something: far more than it takes where the database is well.
const SAYS_WITHIN: Duration = Duration::from_secs(3);

/// What comes in.
#[derive(Debug)]
pub struct Notices(PgListener);

impl Store {
    /// Says these to every service, itself among them; all or none.
    ///
    /// A transaction of its own, and one that need not last: PostgreSQL lets those that say something commit one after
    /// another, so that it must never be said in a transaction that writes.
    pub async fn notify(&self, notices: &[String]) -> Result<(), StoreError> {
        let saying = async {
            let mut unit = self.begin(jiff::Timestamp::now()).await?;
            unit.tx.needs_not_last().await?;
            for notice in notices {
                unit.tx.notify(CHANNEL, notice).await?;
            }
            unit.commit().await
        };
        tokio::time::timeout(SAYS_WITHIN, saying).await.unwrap_or(Err(sqlx::Error::PoolTimedOut.into()))
    }

    /// Begins to listen; none where nobody else can be there.
    pub async fn listen(&self) -> Result<Option<Notices>, StoreError> {
        let Some(pool) = self.listeners() else { return Ok(None) };
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(Notices(listener)))
    }
}

impl Notices {
    /// The next; none where the connection was lost, and with it perhaps some.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.0.try_recv().await?.map(|notice| notice.payload().to_owned()))
    }
}
