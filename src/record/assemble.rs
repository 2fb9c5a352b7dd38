//! Putting a commit together: the region of its bodies, the head, the statement over it.

use super::commit::{Built, Plan, too_many};
use super::head::{Head, Part, SlotEntry, THIS_COMMIT, seal_head};
use super::open::Opened;
use super::region::{Fresh, Kept, Layout, lay_out};
use super::statement::{DOMAIN, Statement, StatementEntry};
use super::twin::source_of;
use super::{Record, Records};
use crate::clock;
use crate::error::Result;
use crate::key::hash;
use crate::key::sign::Signature;
use crate::realm::policy::CERTIFICATES_MAX;
use crate::section::chunk::sealed_len;
use crate::store::Condition;
use crate::wire::Writer;
use std::sync::Arc;

impl Records {
    pub(super) fn head(
        &self,
        plan: &Plan<'_>,
        built: &mut [(u16, Vec<Built>)],
        layout: &Layout,
    ) -> Result<Head> {
        let mut policies = vec![plan.policy.clone()];
        let mut statements: Vec<Statement> = Vec::new();
        let mut slots = Vec::with_capacity(built.len());
        for (slot, parts) in built {
            let mut entry = SlotEntry { slot: *slot, parts: Vec::with_capacity(parts.len()) };
            for b in parts {
                b.part.policy = u8::try_from(index_in(&mut policies, &b.policy)?)
                    .map_err(|_| too_many("policies"))?;
                b.part.statement = match &b.vouched {
                    None => THIS_COMMIT,
                    Some(s) => index_in(&mut statements, s)?,
                };
                entry.parts.push(b.part.clone());
            }
            slots.push(entry);
        }
        let version = plan.base.map_or(0, |b| b.head.version).checked_add(1);
        Ok(Head {
            realm: self.realm.id(),
            record: plan.located.record,
            birth: plan.located.birth,
            profile: plan.profile,
            version: version.ok_or_else(|| too_many("versions"))?,
            previous: plan.base.map_or([0; 32], |b| b.object_hash),
            realm_seq: self.realm.state().seq,
            policies,
            slots,
            statements,
            region_len: layout.region.len() as u64,
            region_hash: hash::sha256(&[&layout.region]),
        })
    }

    pub(super) fn sign(
        &self,
        plan: &Plan<'_>,
        head: &Head,
        head_hash: [u8; 32],
        built: &[(u16, Vec<Built>)],
    ) -> Statement {
        let now = clock::now_unix_ns();
        let entry = |slot: u16, part: &Part| StatementEntry {
            slot,
            part: part.number,
            content: part.content.hash(&head.realm, head.record, slot, part.number),
        };
        let entries = built
            .iter()
            .flat_map(|(slot, parts)| parts.iter().map(move |b| (*slot, b)))
            .filter(|(_, b)| b.vouched.is_none())
            .map(|(slot, b)| entry(slot, &b.part))
            .collect();
        let mut statement = Statement {
            commit: hash::random(),
            version: head.version,
            time_unix_ns: now,
            policy: plan.policy.clone(),
            head: head_hash,
            author: self.keyring.public(),
            certificates: self.own_certificates(now / 1_000_000_000),
            entries,
            signature: Signature([0; 64]),
        };
        let message = statement.message(&head.realm, head.record);
        statement.signature = self.keyring.sign(DOMAIN, &message);
        statement
    }

    /// Returns the hashes of the user's certificates that are valid now, at most as many as a
    /// statement can name.
    pub fn own_certificates(&self, now_unix_s: i64) -> Vec<[u8; 32]> {
        self.keyring
            .certificates()
            .iter()
            .filter(|c| {
                (c.claims.not_before_unix_s..=c.claims.not_after_unix_s).contains(&now_unix_s)
            })
            .take(CERTIFICATES_MAX)
            .map(|c| c.hash)
            .collect()
    }

    /// Keeps the version that is about to be replaced; one that is there already is the same.
    pub(super) async fn keep_history(&self, base: &Arc<Record>) -> Result<()> {
        let (head_bytes, _) = seal_head(&base.head)?;
        let mut w = Writer::new();
        w.bytes(&head_bytes);
        base.statement.write(&mut w);
        w.bytes(&base.region);
        let name = base.located.history(base.head.version);
        self.realm.bucket().put(&name, w.into_bytes().into(), Condition::Absent).await?;
        Ok(())
    }
}

/// Returns the place of `item` in the list, where it is put if need be.
pub(super) fn index_in<T: Clone + PartialEq>(list: &mut Vec<T>, item: &T) -> Result<u16> {
    let at = list.iter().position(|i| i == item).unwrap_or_else(|| {
        list.push(item.clone());
        list.len() - 1
    });
    let fits = u16::try_from(at).ok().filter(|i| *i != THIS_COMMIT);
    fits.ok_or_else(|| too_many("statements"))
}

pub(super) fn lay_out_parts(base: Option<&Arc<Record>>, built: &[(u16, Vec<Built>)]) -> Layout {
    let (mut kept, mut fresh) = (Vec::new(), Vec::new());
    for (slot, parts) in built {
        for b in parts {
            let key = (*slot, b.part.number);
            match &b.sealed {
                Some(sealed) => {
                    fresh.push(Fresh { key, sealed: sealed.clone(), old: b.old_extent });
                }
                None if b.part.content.is_external() => {}
                None => {
                    let live = |o: &Arc<Opened>| (o.extent, sealed_len(o.meta.body_len));
                    kept.push(Kept { key, place: b.opened.as_ref().map(live) });
                }
            }
        }
    }
    let first = built.first().and_then(|(_, parts)| parts.first());
    let used = match base {
        None => Some(0),
        Some(_) => first.and_then(|b| b.old_extent).map(|e| e.region_used),
    };
    let old = base.map_or(&[][..], |b| &b.region);
    lay_out(old, &kept, &fresh, used)
}

/// Seals the extents that changed, and the first part's, which carries the region's use.
pub(super) fn seal_extents(
    built: &mut [(u16, Vec<Built>)],
    layout: &Layout,
    touched_unix_ns: Option<i64>,
) {
    for (i, (slot, parts)) in built.iter_mut().enumerate() {
        for (j, b) in parts.iter_mut().enumerate() {
            let Some(opened) = &b.opened else { continue };
            let mut extent =
                layout.extents.get(&(*slot, b.part.number)).copied().unwrap_or_default();
            extent.region_used = if i == 0 && j == 0 { layout.used } else { 0 };
            let mtime_unix_ns = touched_unix_ns.unwrap_or(opened.extent.mtime_unix_ns);
            // Of when something was written, a twin tells the year.
            extent.mtime_unix_ns = match source_of(*slot) {
                Some(_) => clock::year_of_unix_ns(mtime_unix_ns),
                None => mtime_unix_ns,
            };
            b.part.extent = extent.seal(&opened.cipher);
        }
    }
}
