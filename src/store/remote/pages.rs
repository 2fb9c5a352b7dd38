//! Listings of a cloud, page by page, which go on where they broke off.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectMeta;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;

use super::super::backend::{Attempt, Listed, Pages};
use super::Remote;

/// How many lines of a listing without tokens are handed on at once.
const LIST_PAGE_LEN: usize = 1000;

/// A listing with tokens: a page that failed is asked for again.
pub(super) struct TokenPages {
    remote: Remote,
    pages: Arc<dyn PaginatedListStore>,
    /// The prefix of the listing, with its `/`, or empty.
    below: String,
    /// Where the store goes on.
    token: Option<String>,
    ended: bool,
}

impl TokenPages {
    pub(super) fn new(remote: Remote, pages: Arc<dyn PaginatedListStore>, below: &Path) -> Self {
        let mut below = below.to_string();
        if !below.is_empty() {
            below.push('/');
        }
        Self { remote, pages, below, token: None, ended: false }
    }
}

#[async_trait]
impl Pages for TokenPages {
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>> {
        if self.ended {
            return Ok(None);
        }
        let remote = &self.remote;
        let below = (!self.below.is_empty()).then_some(self.below.as_str());
        let options = PaginatedListOptions {
            page_token: self.token.clone(),
            ..PaginatedListOptions::default()
        };
        let page = remote.within(0, self.pages.list_paginated(below, options)).await?;
        let page = page.map_err(|e| remote.fault(&e))?;
        let listed: Attempt<Vec<_>> =
            page.result.objects.iter().filter_map(|meta| remote.listed(meta).transpose()).collect();
        self.ended = page.page_token.is_none();
        self.token = page.page_token;
        listed.map(Some)
    }
}

/// A listing without tokens (Azure): after a fault it goes on behind the last name, which works
/// because this cloud lists in the order of the names.
pub(super) struct StreamedPages {
    remote: Remote,
    below: Path,
    last: Option<Path>,
    metas: Option<BoxStream<'static, object_store::Result<ObjectMeta>>>,
    ended: bool,
}

impl StreamedPages {
    pub(super) fn new(remote: Remote, below: Path) -> Self {
        Self { remote, below, last: None, metas: None, ended: false }
    }
}

#[async_trait]
impl Pages for StreamedPages {
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>> {
        // A stream that has ended may not be asked again.
        if self.ended {
            return Ok(None);
        }
        let (remote, below) = (&self.remote, Some(&self.below).filter(|b| !b.as_ref().is_empty()));
        let metas = self.metas.get_or_insert_with(|| match &self.last {
            Some(last) => remote.store.list_with_offset(below, last),
            None => remote.store.list(below),
        });
        let mut page = Vec::new();
        while page.len() < LIST_PAGE_LEN {
            let next = match remote.within(0, metas.next()).await {
                Ok(next) => next.transpose().map_err(|e| remote.fault(&e)),
                Err(fault) => Err(fault),
            };
            match next {
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Ok(Some(meta)) => {
                    page.extend(remote.listed(&meta)?);
                    self.last = Some(meta.location);
                }
                Err(fault) => {
                    self.metas = None;
                    // What was read before the fault is handed on; the fault comes again if it stays.
                    return if page.is_empty() { Err(fault) } else { Ok(Some(page)) };
                }
            }
        }
        Ok((!page.is_empty()).then_some(page))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::backend::{Backend, Condition};
    use super::super::super::name::ObjectName;
    use super::super::tests::remote;
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_listing_without_tokens_goes_on_where_it_broke_off() {
        let remote = remote("p/q");
        for i in 0..1500 {
            let name = ObjectName::new(&format!("n/{i:04}")).unwrap();
            remote.put(&name, Bytes::new(), &Condition::Always).await.unwrap();
        }
        let below = remote.path("n");
        let mut pages = StreamedPages::new(remote.clone(), below);
        let first = pages.next().await.unwrap().unwrap();
        // As after a fault: the stream is gone.
        pages.metas = None;
        let second = pages.next().await.unwrap().unwrap();
        assert!(pages.next().await.unwrap().is_none());
        let names: Vec<_> = first.iter().chain(&second).map(|l| l.name.to_string()).collect();
        assert_eq!((first.len(), names.len()), (1000, 1500));
        assert!(names.is_sorted() && names[1499] == "n/1499");
    }
}
