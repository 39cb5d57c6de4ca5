//! The doorstep: what is asked of every request before anyone is let in. How many come from where,
//! whose credential it is, and what is too long.
use super::House;
use super::client::client_address;
use super::journal::{Attempted, Event};
use super::query;
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::service::{Source, limit::Standing};
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web::Data};
use std::future::{Ready, ready};

/// The request's id, as the middleware gave it.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(pub Id);

/// What needs no credential: no query parameters, and as many requests from one address as one key
/// has.
pub fn open_door(request: &HttpRequest) -> Result<()> {
    count(request)?;
    threshold(request)
}
pub(super) fn house(request: &HttpRequest) -> Result<&Data<House>> {
    let house = request.app_data::<Data<House>>();
    house.ok_or_else(|| Problem::internal("no house"))
}
/// Counts a request without a credential.
pub fn count(request: &HttpRequest) -> Result<()> {
    within(
        request,
        house(request)?.limiter().take_from(client_address(request)),
    )
}
/// The same for what asks whether the service is there: nobody's flood may answer for it, so it is
/// not counted.
pub fn threshold(request: &HttpRequest) -> Result<()> {
    conditions(request)?;
    query::known(request)
}

/// Who comes without a credential but with a secret in the body: the way in of logins. Their
/// requests are counted before the body is read.
pub struct Visitor {
    /// Where the request comes from.
    pub source: Source,
    /// The request's id.
    pub id: Id,
    request: HttpRequest,
}

impl Visitor {
    /// Says what the request came to; its line is written with the answer.
    pub fn tell(&self, event: Event, user: Option<Id>) {
        event.told(&self.request, user);
    }
    /// Says whose account the login is for, for that line.
    pub fn attempts(&self, address: &str) {
        let attempted = Attempted(address.to_owned());
        self.request.extensions_mut().insert(attempted);
    }
    fn of(request: &HttpRequest) -> Result<Self> {
        open_door(request)?;
        let (house, source) = (house(request)?, Source(client_address(request)));
        house.logins().count(source)?;
        let id = request.extensions().get::<RequestId>().map(|id| id.0);
        Ok(Visitor {
            source,
            id: id.unwrap_or_else(Id::new),
            request: request.clone(),
        })
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// A credential of this request was refused, and the refusal was counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted;

/// Makes the caller known before the handler's extractors look for it. A credential that is not
/// good counts as a request of its address, and an address that has none left is not looked up:
/// neither guesses nor floods cost a query each.
pub async fn recognise(request: &HttpRequest) -> Result<()> {
    let Some(authorization) = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
    else {
        return Ok(());
    };
    let Some(house) = request.app_data::<Data<House>>() else {
        return Ok(());
    };
    let client = client_address(request);
    let admit = || {
        within(
            request,
            house
                .limiter()
                .look_at(client)
                .filter(|standing| standing.retry_after.is_some()),
        )
    };
    match house.recognise(authorization, admit).await? {
        true => Ok(()),
        false => {
            request.extensions_mut().insert(Counted);
            within(request, house.limiter().take_from(client))
        }
    }
}

/// 429 when there were too many; what is left stands in the answer's headers.
pub(super) fn within(request: &HttpRequest, standing: Option<Standing>) -> Result<()> {
    let Some(standing) = standing else {
        return Ok(());
    };
    request.extensions_mut().insert(standing);
    match standing.retry_after {
        Some(seconds) => Err(Problem::new(
            Code::RateLimited,
            "Too many requests; wait as long as `Retry-After` says.",
        )
        .retry_after(seconds)),
        None => Ok(()),
    }
}

/// Characters of a condition, as the document says.
pub const CONDITION: usize = 1000;

/// 400 for conditions that are longer than anyone needs.
fn conditions(request: &HttpRequest) -> Result<()> {
    let long = |name: &header::HeaderName| {
        request
            .headers()
            .get_all(name)
            .map(|value| value.len() + 1)
            .sum::<usize>()
            > CONDITION + 1
    };
    let faults: Vec<Invalid> = [header::IF_MATCH, header::IF_NONE_MATCH]
        .iter()
        .filter(|name| long(name))
        .map(|name| Invalid {
            location: "header",
            ..Invalid::query(
                name.as_str(),
                "invalid_parameter",
                "at most 1,000 characters",
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::parameters(faults))
    }
}
