//! What a provider answered to captures, voids and refunds: each is confirmed or fails.

use chrono::{DateTime, Utc};
use events::{
    CaptureId, Context, RefundId, VoidId,
    text::{ProviderReference, Reason},
};
use serde::{Deserialize, Serialize};
use service_kit::{auth::Role, problem::Problem};
use uuid::Uuid;

use super::{
    super::{Call, CommandBody, Target, send},
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
        $confirm:ident = $confirm_name:literal $confirm_path:literal,
        $fail:ident = $fail_name:literal $fail_path:literal
    ) => {
        #[doc = $confirm_path]
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $confirm {
            $id: Option<$id_type>,
            reference: ProviderReference,
            occurred_at: Option<DateTime<Utc>>,
        }

        #[doc = $fail_path]
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $fail {
            $id: Option<$id_type>,
            reason: Reason,
            occurred_at: Option<DateTime<Utc>>,
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

        answers!($confirm = $confirm_name, $id: $id_type, $command);
        answers!($fail = $fail_name, $id: $id_type, $command);
    };
    ($body:ident = $name:literal, $id:ident: $id_type:ident, $command:ident) => {
        impl CommandBody for $body {
            const NAME: &'static str = $name;
            const ROLES: &'static [Role] = RECORDERS;
            const CONTEXT: Context = Context::Payments;

            fn occurred_at(&self) -> Option<DateTime<Utc>> {
                self.occurred_at
            }

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
    ConfirmCapture = "confirm-capture" "`POST /v1/payments/{id}/captures/{capture}/confirm`",
    FailCapture = "fail-capture" "`POST /v1/payments/{id}/captures/{capture}/fail`"
);
answers!(
    void_id: VoidId, AnswerVoid;
    ConfirmVoid = "confirm-void" "`POST /v1/payments/{id}/voids/{void}/confirm`",
    FailVoid = "fail-void" "`POST /v1/payments/{id}/voids/{void}/fail`"
);
answers!(
    refund_id: RefundId, AnswerRefund;
    ConfirmRefund = "confirm-refund" "`POST /v1/payments/{id}/refunds/{refund}/confirm`",
    FailRefund = "fail-refund" "`POST /v1/payments/{id}/refunds/{refund}/fail`"
);
