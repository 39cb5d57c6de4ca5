//! The queue before a writer: one line for each organization, served in turn, so that nobody's
//! flood makes others wait behind it.
use crate::core::TenantId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};

/// Commands that wait for one writer.
const ALL: usize = 4096;
/// Commands of one organization that wait.
const OF_ONE: usize = 1024;

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The organization has as many waiting as it may.
    OfOne,
    /// Too many are waiting in all.
    All,
}

/// Lines of commands, one for each organization.
#[derive(Debug)]
pub struct Queue<C> {
    lines: Mutex<Lines<C>>,
    filled: Condvar,
}

#[derive(Debug)]
struct Lines<C> {
    of: HashMap<TenantId, VecDeque<C>>,
    /// Who has something waiting, in the order of their turns.
    turns: VecDeque<TenantId>,
    waiting: usize,
    closed: bool,
}

impl<C> Default for Queue<C> {
    fn default() -> Self {
        let lines = Lines {
            of: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            closed: false,
        };
        Queue {
            lines: Mutex::new(lines),
            filled: Condvar::new(),
        }
    }
}

impl<C> Queue<C> {
    fn lines(&self) -> std::sync::MutexGuard<'_, Lines<C>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Puts a command at the end of its organization's line.
    pub fn push(&self, tenant: TenantId, command: C) -> Result<(), Full> {
        let mut lines = self.lines();
        if lines.waiting >= ALL {
            return Err(Full::All);
        }
        let line = lines.of.entry(tenant).or_default();
        if line.len() >= OF_ONE {
            return Err(Full::OfOne);
        }
        line.push_back(command);
        if line.len() == 1 {
            lines.turns.push_back(tenant);
        }
        lines.waiting += 1;
        drop(lines);
        self.filled.notify_one();
        Ok(())
    }
    /// The next command, of the organization whose turn it is; waits for one. `None` when the queue
    /// is closed and empty.
    pub fn next(&self) -> Option<(TenantId, C)> {
        let mut lines = self.lines();
        loop {
            if let Some(found) = lines.take() {
                return Some(found);
            }
            if lines.closed {
                return None;
            }
            lines = self
                .filled
                .wait(lines)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
    /// The next command, if one waits.
    pub fn try_next(&self) -> Option<(TenantId, C)> {
        self.lines().take()
    }
    /// The next command of an organization, if one waits.
    pub fn try_next_of(&self, tenant: TenantId) -> Option<C> {
        let mut lines = self.lines();
        let command = lines.of.get_mut(&tenant)?.pop_front()?;
        lines.waiting -= 1;
        lines.leave(tenant);
        Some(command)
    }
    /// Takes no more; what waits is still worked off.
    pub fn close(&self) {
        self.lines().closed = true;
        self.filled.notify_all();
    }
}

impl<C> Lines<C> {
    fn take(&mut self) -> Option<(TenantId, C)> {
        let tenant = self.turns.pop_front()?;
        let line = self.of.get_mut(&tenant)?;
        let command = line.pop_front()?;
        self.waiting -= 1;
        match line.is_empty() {
            true => drop(self.of.remove(&tenant)),
            false => self.turns.push_back(tenant),
        }
        Some((tenant, command))
    }
    /// Ends a line that is empty.
    fn leave(&mut self, tenant: TenantId) {
        if self.of.get(&tenant).is_some_and(VecDeque::is_empty) {
            self.of.remove(&tenant);
            self.turns.retain(|other| *other != tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    #[test]
    fn each_organization_has_its_turn() {
        let queue = Queue::default();
        for n in 0..5 {
            assert_eq!(queue.push(tenant(1), n), Ok(()));
        }
        assert_eq!(
            (
                queue.push(tenant(2), 10),
                queue.push(tenant(3), 20),
                queue.push(tenant(2), 11)
            ),
            (Ok(()), Ok(()), Ok(()))
        );
        let order: Vec<i32> = std::iter::from_fn(|| queue.try_next())
            .map(|(_, command)| command)
            .collect();
        assert_eq!(
            order,
            [0, 10, 20, 1, 11, 2, 3, 4],
            "in turn, and each in its own order"
        );
    }

    #[test]
    fn a_flood_fills_its_own_line_alone() {
        let queue = Queue::default();
        let taken = (0..5000)
            .filter(|n| queue.push(tenant(1), *n).is_ok())
            .count();
        assert_eq!(
            (taken, queue.push(tenant(1), 0), queue.push(tenant(2), 0)),
            (OF_ONE, Err(Full::OfOne), Ok(()))
        );
        for other in 3..9 {
            for _ in 0..OF_ONE {
                let _taken = queue.push(tenant(other), 0);
            }
        }
        assert_eq!(queue.push(tenant(99), 0), Err(Full::All));
        assert_eq!(
            (
                queue.try_next_of(tenant(2)),
                queue.try_next_of(tenant(2)),
                queue.try_next_of(tenant(77))
            ),
            (Some(0), None, None)
        );
        assert_eq!(queue.push(tenant(99), 0), Ok(()), "there is room again");
    }

    #[test]
    fn what_waits_is_worked_off_before_the_end() {
        let queue = Queue::default();
        assert_eq!(queue.push(tenant(1), 7), Ok(()));
        queue.close();
        assert_eq!((queue.next(), queue.next()), (Some((tenant(1), 7)), None));
    }
}
