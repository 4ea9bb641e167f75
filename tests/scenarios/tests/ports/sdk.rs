//! The SDK's ports: the driver of the sample `consult` calls its clients back and acts as them.

use app::ImpersonationLevel;
use ringbridge_scenarios::{CONSULT, scenario, unload_cleanly};

use super::*;

const SERVED: &str = sample_consult::PORT;

scenario! {
    fn a_driver_calls_back_the_client_that_waits_for_it(form: Form) {
        let machine = CONSULT.machine(form);
        let process = machine.process("client");
        let text = mapping(&process);
        let shown = Shown { mapping: &text, offset: 0, size: 0 };
        let own = Port::connect(&process, SERVED, SecurityQos::default(), Some(shown), b"").expect("is accepted");
        let view = own.views.own.as_ref().expect("is shown");
        view.write(0, b"letters").expect("writable");
        let callback = own.port.request_wait_reply(&Message::new(b"")).expect("is answered");
        assert_eq!((callback.kind(), callback.data()), (LPC_REQUEST, sample_consult::QUESTION));
        let reply = own.port.reply_wait_reply(&callback.reply(&4_u32.to_le_bytes())).expect("is answered");
        assert_eq!((reply.kind(), reply.data()), (LPC_REPLY, &4_u32.to_le_bytes()[..]));
        let mut seen = [0; 7];
        view.read(0, &mut seen).expect("readable");
        assert_eq!(seen, *b"LETTers");
        drop(own);
        drop(text);
        unload_cleanly(&machine, "consult");
        nothing_is_left(&machine);
    }
}

scenario! {
    fn a_driver_acts_as_its_client_as_far_as_that_allows(form: Form) {
        let machine = CONSULT.machine(form);
        let process = machine.process("client");
        for (level, opened) in [
            (ImpersonationLevel::Impersonation, abi::STATUS_SUCCESS),
            (ImpersonationLevel::Identification, abi::STATUS_BAD_IMPERSONATION_LEVEL),
            (ImpersonationLevel::Impersonation, abi::STATUS_SUCCESS),
        ] {
            let qos = SecurityQos { level, ..SecurityQos::default() };
            let own = Port::connect(&process, SERVED, qos, None, b"").expect("is accepted").port;
            let reply = own.request_wait_reply(&Message::new(b"?")).expect("is answered");
            assert_eq!(reply.data(), opened.bits().to_le_bytes(), "{level:?}");
        }
        unload_cleanly(&machine, "consult");
        nothing_is_left(&machine);
    }
}
