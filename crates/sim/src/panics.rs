//! A panic in any task of a run fails the run, also where the task's owner would shrug it off.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// The panics of the run on this thread; `None` outside a run.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Does `work`, and returns with its result the panics that happened meanwhile on this thread. One of `work` itself goes on.
pub fn collect<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(install);
    PANICS.with_borrow_mut(|panics| *panics = Some(Vec::new()));
    let done = work();
    let panics = PANICS.take().unwrap_or_default();
    (done, panics)
}

fn install() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let ours = PANICS.with_borrow_mut(|panics| match panics {
            Some(panics) => {
                let backtrace = Backtrace::capture();
                panics.push(format!("panic: {info}\n{backtrace}"));
                true
            }
            None => false,
        });
        if !ours {
            before(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_somebody_caught_is_still_told() {
        let ((), panics) = collect(|| {
            let caught = panic::catch_unwind(|| panic!("on purpose"));
            assert!(caught.is_err());
        });
        assert_eq!(panics.len(), 1);
        assert!(panics[0].contains("on purpose"), "{panics:?}");
    }
}
