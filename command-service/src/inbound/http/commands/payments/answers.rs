//! What a provider answered to captures, voids and refunds: each is confirmed or fails.

use events::{
    CaptureId, Context, RefundId, VoidId,
    text::{ProviderReference, Reason},
};
use service_kit::{auth::Role, problem::Problem};
use uuid::Uuid;

use super::{
    super::{Call, CommandBody, Target, body, send},
    RECORDERS,
};
use crate::{
    application::{commands::Commands, writer},
    domain::payment::{Answer, Command},
};

/// The two answers to one kind of step.
macro_rules! answers {
    (
        $id:ident: $id_type:ident, $command:ident;
        $confirm:ident = $confirm_name:literal $confirm_path:literal $confirm_summary:literal,
        $fail:ident = $fail_name:literal $fail_path:literal $fail_summary:literal
    ) => {
        body! {
            #[doc = $confirm_path]
            pub struct $confirm {
                /// Named by the path; given here in a line of `/v1/commands` only.
                $id: Option<$id_type>,
                reference: ProviderReference,
            }
        }

        body! {
            #[doc = $fail_path]
            pub struct $fail {
                /// Named by the path; given here in a line of `/v1/commands` only.
                $id: Option<$id_type>,
                reason: Reason,
            }
        }

        impl $confirm {
            fn answer(self) -> Answer {
                Answer::Succeeded(self.reference)
            }
        }

        impl $fail {
            fn answer(self) -> Answer {
                Answer::Failed(self.reason)
            }
        }

        answers!($confirm = $confirm_name $confirm_summary, $id: $id_type, $command);
        answers!($fail = $fail_name $fail_summary, $id: $id_type, $command);
    };
    ($body:ident = $name:literal $summary:literal, $id:ident: $id_type:ident, $command:ident) => {
        impl CommandBody for $body {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            const ROLES: &'static [Role] = RECORDERS;
            const CONTEXT: Context = Context::Payments;

            async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
                let $id = $id_type(call.part(concat!("/", stringify!($id)), self.$id.map(Uuid::from))?);
                let answer = self.answer();
                send(&commands.payments, call, target, Command::$command { $id, answer }).await
            }
        }
    };
}

answers!(
    capture_id: CaptureId, AnswerCapture;
    ConfirmCapture = "confirm-capture" "`POST /v1/payments/{id}/captures/{capture}/confirm`"
        "Records that a capture was made.",
    FailCapture = "fail-capture" "`POST /v1/payments/{id}/captures/{capture}/fail`"
        "Records that a capture was not made."
);
answers!(
    void_id: VoidId, AnswerVoid;
    ConfirmVoid = "confirm-void" "`POST /v1/payments/{id}/voids/{void}/confirm`"
        "Records that what was not taken was given back.",
    FailVoid = "fail-void" "`POST /v1/payments/{id}/voids/{void}/fail`"
        "Records that what was not taken was not given back."
);
answers!(
    refund_id: RefundId, AnswerRefund;
    ConfirmRefund = "confirm-refund" "`POST /v1/payments/{id}/refunds/{refund}/confirm`"
        "Records that a refund was paid.",
    FailRefund = "fail-refund" "`POST /v1/payments/{id}/refunds/{refund}/fail`"
        "Records that a refund was not paid."
);
