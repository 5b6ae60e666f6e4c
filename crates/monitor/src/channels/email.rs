//! Alerts by e-mail, over an encrypted connection.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::{Payload, SendError};
use crate::{EmailSettings, Encryption};

/// A server that takes e-mail, and who gets it.
pub(crate) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email")
    }
}

impl Email {
    pub(crate) fn new(settings: &EmailSettings, timeout: Duration) -> Result<Self, String> {
        let mailbox = |field: &str, text: &String| {
            text.parse::<Mailbox>().map_err(|error| format!("{field}: {text:?} is no address: {error}"))
        };
        let from = mailbox("from", &settings.from)?;
        let to = settings.to.iter().map(|text| mailbox("to", text)).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err("to: nobody gets it".to_owned());
        }
        let parameters = tls(settings)?;
        let tls = match settings.encryption {
            Encryption::StartTls => Tls::Required(parameters),
            Encryption::Tls => Tls::Wrapper(parameters),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(timeout));
        builder = match (&settings.username, &settings.password) {
            (Some(name), Some(password)) => {
                builder.credentials(Credentials::new(name.clone(), password.reveal().to_owned()))
            }
            (None, None) => builder,
            _ => return Err("username and password belong together".to_owned()),
        };
        Ok(Self { transport: builder.build(), from, to, timeout })
    }

    /// Send it; the server's word that it took it is a success.
    pub(crate) async fn send(&self, payload: &Payload) -> Result<(), SendError> {
        let mut message = Message::builder().from(self.from.clone()).subject(payload.subject());
        for mailbox in &self.to {
            message = message.to(mailbox.clone());
        }
        let message = message
            .multipart(MultiPart::alternative_plain_html(payload.text(), payload.html()))
            .map_err(|error| SendError::new(format!("the message cannot be made: {error}")))?;
        // The library bounds every step; this bounds them all.
        let sent = tokio::time::timeout(self.timeout, self.transport.send(message)).await;
        sent.map_err(|_| SendError::new("it did not answer in time".to_owned()))?.map(drop).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            SendError::new(format!("{error}{cause}"))
        })
    }
}

fn tls(settings: &EmailSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(file) = &settings.ca_file {
        let pem = std::fs::read(file).map_err(|error| format!("ca_file: {}: {error}", file.display()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| format!("ca_file: {error}"))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| error.to_string())
}
