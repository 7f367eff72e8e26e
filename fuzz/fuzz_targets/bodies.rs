//! The bodies of all commands: `NAME`, a newline, and what the caller sent. What is taken says the same when it is written
//! and read again; what is refused is a problem that can be shown.

#![no_main]

use command_service::inbound::http::commands::*;
use libfuzzer_sys::fuzz_target;
use service_kit::json::parse_json;

fn body<T: CommandBody>(text: &[u8]) {
    match parse_json::<T>(text) {
        Ok(body) => {
            let written = serde_json::to_vec(&body).expect("a body can be written");
            let read = parse_json::<T>(&written).unwrap_or_else(|problem| panic!("{problem:?}"));
            assert_eq!(serde_json::to_vec(&read).expect("a body can be written"), written);
        }
        Err(problem) => assert!(problem.status().is_client_error(), "{problem:?}"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (name, text) = (&data[..end], &data[end + 1..]);
    macro_rules! one_of {
        ($($body:ty),+ $(,)?) => { $(if name == <$body>::NAME.as_bytes() { body::<$body>(text); })+ };
    }
    one_of!(
        RegisterUser,
        ChangeUser,
        DeactivateUser,
        CreateProduct,
        ChangeProduct,
        AdjustStock,
        DiscontinueProduct,
        ReserveStock,
        ReleaseStock,
        CommitStock,
        PlaceOrder,
        ConfirmOrder,
        CancelOrder,
        ShipOrder,
        DeliverOrder,
        ReturnOrder,
    );
});
