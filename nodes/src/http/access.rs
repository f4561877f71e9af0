//! Who may ask: over TLS, and with a bearer token, if the operator wants that.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::App;
use super::problem::Problem;
use crate::tokio_env::net::tls::{certificates, key};

/// The shortest token that is accepted: whoever guesses has to guess for long.
const TOKEN_BYTES_MIN: usize = 16;

/// The tokens that open the door. None: it is open.
#[derive(Clone, Default)]
pub struct Tokens(Option<Vec<Vec<u8>>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0.as_ref().map_or(0, Vec::len))
    }
}

impl Tokens {
    /// Reads a file with a token on each line. Empty lines and those that begin with `#` do not count.
    ///
    /// # Errors
    /// If there is none, or one that is too short.
    pub fn of(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let tokens: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().to_vec()).collect();
        if tokens.is_empty() {
            return Err("there is no token in it".to_owned());
        }
        if tokens.iter().any(|token| token.len() < TOKEN_BYTES_MIN) {
            return Err(format!("a token has at least {TOKEN_BYTES_MIN} characters"));
        }
        Ok(Self(Some(tokens)))
    }

    /// Whether one is needed.
    pub(super) const fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Whether these credentials open the door.
    fn admit(&self, credentials: Option<&HeaderValue>) -> bool {
        let Some(tokens) = &self.0 else { return true };
        let shown = credentials.map(HeaderValue::as_bytes).and_then(|bytes| bytes.split_at_checked(7));
        let Some((scheme, shown)) = shown else { return false };
        // All are compared, each to its end: how long it takes tells nothing of how far a guess was right.
        let is_known = tokens.iter().fold(false, |known, token| known | is_same(token, shown));
        scheme.eq_ignore_ascii_case(b"bearer ") && is_known
    }
}

fn is_same(token: &[u8], shown: &[u8]) -> bool {
    let differing = token.iter().zip(shown).fold(0, |differing, (one, other)| differing | (one ^ other));
    (token.len() == shown.len()) & (differing == 0)
}

/// Refuses requests without a token that opens the door.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.tokens.admit(request.headers().get(header::AUTHORIZATION)) {
        return next.run(request).await;
    }
    let title = "A bearer token is needed";
    let problem =
        Problem::new(StatusCode::UNAUTHORIZED, "no-token", title, "send `Authorization: Bearer TOKEN`");
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Encryption of HTTP, by a certificate and its key in PEM files.
///
/// # Errors
/// If a file cannot be read or used, with its name.
pub fn acceptor(certificate: &Path, own_key: &Path) -> io::Result<TlsAcceptor> {
    let wrong = |error: rustls::Error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", certificate.display()))
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?.with_no_client_auth();
    let mut config = builder.with_single_cert(certificates(certificate)?, key(own_key)?).map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::Tokens;

    #[test]
    fn only_a_whole_token_opens_the_door() {
        let tokens =
            Tokens::of("# whose\n\n  0123456789abcdef  \nfedcba9876543210\n").expect("there are two");
        let admits = |text: &str| tokens.admit(HeaderValue::from_str(text).ok().as_ref());
        assert!(admits("Bearer 0123456789abcdef") && admits("bearer fedcba9876543210"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Basic 0123456789abcdef",
        ] {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(!tokens.admit(None));
        assert!(Tokens::default().admit(None), "without tokens the door is open");
        assert!(Tokens::of("# none\n").is_err() && Tokens::of("short\n").is_err());
        assert!(!format!("{tokens:?}").contains("0123"), "tokens are not shown");
    }
}
