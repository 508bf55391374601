//! Panics as one line: where it happened and what it said. A panic is a defect of this program, so it ends with code 70.

use std::any::Any;
use std::cell::RefCell;
use std::panic::PanicHookInfo;

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic is not printed where it happens, but kept for [`describe`]. With `RUST_BACKTRACE` set it is printed as
/// well. For programs; a library leaves the hook to whoever owns the process.
pub fn keep_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        PLACE.with_borrow_mut(|place| *place = info.location().map(ToString::to_string));
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            usual(info);
        }
    }));
}

/// What a panic on this thread said, and where it was if [`keep_quiet`] was called.
pub fn describe(payload: &(dyn Any + Send)) -> String {
    let said = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it said nothing".into());
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match PLACE.with_borrow_mut(Option::take) {
        Some(place) => format!("{said} ({place})"),
        None => said,
    }
}
