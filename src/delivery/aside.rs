//! Refused records: an event that the broker will never take goes to the DLQ topic; what that refuses too is parked.

use super::{
    AnswerAfter, Lane,
    spool::{Entry, SpoolError},
    state::Item,
    ticket::State,
    writer::Writer,
};

impl Writer {
    /// Puts a refused record where it holds up no other. Given back when the spool cannot be written.
    pub(super) fn put_aside(
        &mut self,
        lane: Lane,
        item: Box<Item>,
        reason: &'static str,
    ) -> Result<(), (Box<Item>, SpoolError)> {
        let moved = if lane == Lane::Dlq { self.park(&item) } else { self.move_to_dlq(lane, &item, reason) };
        match moved {
            Ok(dlq) => {
                self.send_waiters_after(lane, *item, dlq);
                Ok(())
            }
            Err(error) => Err((item, error)),
        }
    }

    fn park(&mut self, item: &Item) -> Result<Option<Item>, SpoolError> {
        tracing::error!("the DLQ topic refuses a record too; it is parked in the spool");
        let stored = self.is_stored(Lane::Dlq, item);
        let mut batch = self.spool.batch()?;
        if stored {
            batch.park(item.seq)?;
        } else {
            batch.store(&entry(Lane::Parked, item, &item.record))?;
        }
        batch.commit()?;
        Ok(None)
    }

    fn move_to_dlq(&mut self, lane: Lane, item: &Item, reason: &'static str) -> Result<Option<Item>, SpoolError> {
        let account = item.account.and_then(|index| self.accounts.get(index));
        let (name, mode) = account.map_or(("", ""), |(name, mode)| (name, *mode));
        let record = item.record.clone().rejected(reason, name, mode, item.received_at_ms);
        let stored = self.is_stored(lane, item);
        let mut batch = self.spool.batch()?;
        if stored {
            batch.remove(lane, &mut [(item.seq, item.bytes())])?;
        }
        let seq = batch.store(&entry(Lane::Dlq, item, &record))?;
        batch.commit()?;
        let (account, received_at_ms) = (item.account, item.received_at_ms);
        Ok(Some(Item { seq, account, received_at_ms, record, ticket: None, first_sent: None }))
    }

    /// Refusals come after their commit: what is not past the spool by then is in it.
    fn is_stored(&self, lane: Lane, item: &Item) -> bool {
        self.lanes.get(lane as usize).is_some_and(|lane| !lane.lock().bypassed.contains(&item.seq))
    }

    /// Who waited for the refused record waits for its DLQ record; nobody waits for a parked one.
    fn send_waiters_after(&self, lane: Lane, mut item: Item, dlq_item: Option<Item>) {
        let Some(from) = self.lanes.get(lane as usize) else { return };
        let waiters = from.give_away(&mut item);
        if let (Some(dlq_item), Some(dlq)) = (dlq_item, self.lanes.get(Lane::Dlq as usize)) {
            let seq = dlq_item.seq;
            dlq.hand_over(vec![dlq_item]);
            for waiter in waiters {
                dlq.join(seq, true, waiter);
            }
            return;
        }
        let parked = if from.answer_after == AnswerAfter::KafkaOnly { State::Refused } else { State::SafeOnDisk };
        for waiter in waiters {
            waiter.settle(parked);
        }
    }
}

fn entry<'a>(lane: Lane, item: &Item, record: &'a crate::event::Record) -> Entry<'a> {
    Entry { lane, account: item.account.unwrap_or(usize::MAX), received_at_ms: item.received_at_ms, record }
}
