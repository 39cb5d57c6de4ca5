//! Role × kind × action, as data (domain: roles of access). Auditors may be given this table; the
//! tests read it too.
use Role::*;

crate::vocabulary! {
    /// What a credential may be.
    pub enum Role { Admin, Manager, Contributor, Approver, InternalAuditor, Auditor, Collector }
}

/// One line of the policy: these roles may do these actions on this kind.
pub type Row = (&'static str, &'static [&'static str], &'static [Role]);

/// The kinds that the floors below the registers ask for: who does something, with which account
/// or key, where, and by which catalogue.
pub const PERSON: &str = "person";
/// A login.
pub const USER: &str = "user";
/// A key.
pub const API_KEY: &str = "api_key";
/// A scope.
pub const SCOPE: &str = "scope";
/// A catalogue of requirements.
pub const FRAMEWORK: &str = "framework";

/// Who reads registers.
const READERS: &[Role] = &[Manager, Contributor, Approver, InternalAuditor, Auditor];
/// Everyone with a key.
const EVERYONE: &[Role] = &[
    Admin,
    Manager,
    Contributor,
    Approver,
    InternalAuditor,
    Auditor,
    Collector,
];
/// Who keeps registers; a contributor only what is theirs.
const KEEPERS: &[Role] = &[Manager, Contributor];
/// Who decides.
const DECIDERS: &[Role] = &[Manager, Approver];

/// Everything that is allowed; what is not here is not.
#[rustfmt::skip]
pub const POLICY: &[Row] = &[
    ("organization",     &["read"],                                       EVERYONE),
    ("organization",     &["change"],                                     &[Admin]),
    ("user",             &["read"],                                       &[Admin, InternalAuditor,
        Auditor]),
    ("user",             &["change", "archive", "reset-password"],        &[Admin]),
    // Whoever neither administers nor audits: their own keys.
    ("api_key",          &["read", "change", "revoke", "rotate"],         EVERYONE),
    ("person",           &["read"],                                       READERS),
    ("person",           &["change", "archive"],                          &[Manager]),
    ("scope",            &["read"],                                       READERS),
    ("scope",            &["change", "archive", "submit", "revise", "retire", "review"],
        &[Manager]),
    ("scope",            &["approve", "return"],                          DECIDERS),
    ("risk_methodology", &["read"],                                       READERS),
    ("risk_methodology", &["change", "archive", "submit", "revise", "retire", "review"],
        &[Manager]),
    ("risk_methodology", &["approve", "return"],                          DECIDERS),
    ("asset",            &["read"],                                       READERS),
    ("asset",            &["change", "review"],                           KEEPERS),
    ("asset",            &["archive"],                                    &[Manager]),
    ("threat",           &["read"],                                       READERS),
    ("threat",           &["change", "archive"],                          &[Manager]),
    ("vulnerability",    &["read"],                                       READERS),
    ("vulnerability",    &["change", "fix", "dismiss", "reopen"],         KEEPERS),
    ("vulnerability",    &["report"],                                     &[Manager, Contributor,
        Collector]),
    ("vulnerability",    &["archive"],                                    &[Manager]),
    ("risk",             &["read"],                                       READERS),
    ("risk",             &["change", "assess", "review", "close", "reopen"], KEEPERS),
    ("risk",             &["archive"],                                    &[Manager]),
    ("risk",             &["rescore"],                                    &[Manager]),
    ("risk_treatment",   &["read"],                                       READERS),
    ("risk_treatment",   &["change", "submit", "start", "complete", "cancel"], KEEPERS),
    ("risk_treatment",   &["sign", "return", "revoke"],                   &[Manager, Contributor,
        Approver]),
    ("risk_treatment",   &["archive"],                                    &[Manager]),
    ("framework",        &["read"],                                       READERS),
    ("framework",        &["change", "archive"],                          &[Manager]),
    ("control",          &["read"],                                       READERS),
    ("control",          &["change", "review"],                           KEEPERS),
    ("control",          &["archive"],                                    &[Manager]),
    ("applicability",    &["read"],                                       READERS),
    ("applicability",    &["change"],                                     &[Manager]),
    ("soa_version",      &["read"],                                       READERS),
    ("soa_version",      &["submit", "withdraw"],                         &[Manager]),
    ("soa_version",      &["approve", "return"],                          DECIDERS),
    ("evidence",         &["read", "push"],                               &[Manager, Contributor,
        Collector]),
    ("evidence",         &["read"],                                       &[Approver,
        InternalAuditor, Auditor]),
    ("evidence",         &["change"],                                     KEEPERS),
    ("evidence",         &["archive", "hold", "release", "retain"],       &[Manager]),
    ("gap_assessment",   &["read"],                                       READERS),
    ("gap_assessment",   &["change"],                                     KEEPERS),
    ("gap_assessment",   &["archive"],                                    &[Manager]),
    ("gap_answer",       &["read"],                                       READERS),
    ("nonconformity",    &["read"],                                       READERS),
    // An internal auditor: what they raised, or own.
    ("nonconformity",    &["change"],                                     &[Manager, Contributor,
        InternalAuditor]),
    ("nonconformity",    &["contain", "analyse", "plan", "implement"],    KEEPERS),
    ("nonconformity",    &["verify", "close", "return"],                  &[Manager, Approver,
        InternalAuditor]),
    ("nonconformity",    &["archive"],                                    &[Manager]),
    ("action",           &["read"],                                       READERS),
    ("action",           &["change", "start", "complete", "cancel"],      KEEPERS),
    ("action",           &["archive"],                                    &[Manager]),
    ("overview",         &["read"],                                       READERS),
    ("ledger",           &["read"],                                       &[Admin, Manager,
        Contributor, Approver, InternalAuditor, Auditor]),
];

/// May one of these roles do this?
pub fn allows(roles: &[Role], kind: &str, action: &str) -> bool {
    POLICY.iter().any(|(of, actions, allowed)| {
        *of == kind && actions.contains(&action) && roles.iter().any(|role| allowed.contains(role))
    })
}

/// Who may do this.
pub fn allowed(kind: &str, action: &str) -> Vec<Role> {
    let rows = POLICY
        .iter()
        .filter(|(of, actions, _)| *of == kind && actions.contains(&action));
    let mut all: Vec<Role> = rows.flat_map(|(.., roles)| roles.iter().copied()).collect();
    all.dedup();
    all
}
