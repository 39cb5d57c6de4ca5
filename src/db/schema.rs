//! The tables that no kind has for itself, and those that several rooms ask: one file for both
//! databases. What one room alone asks is declared there, with `columns!`.
#![expect(missing_docs, reason = "the migrations explain each table")]
use diesel::{allow_tables_to_appear_in_same_query, table};

table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    tenants (id) {
        id -> DbUuid, founded_at -> DbInstant,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    records (tenant_id, id) {
        tenant_id -> DbUuid, id -> DbUuid, kind -> Text, number -> BigInt,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    versions (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, kind -> Text, number -> BigInt,
            external_ref -> Nullable<Text>,
        name -> Text, status -> Text, owner_id -> Nullable<DbUuid>, due_on -> Nullable<Date>,
            review_due_on -> Nullable<Date>,
        rank -> Nullable<Integer>, tags -> Text, words -> Text, created_at -> DbInstant,
            updated_at -> DbInstant,
        archived_at -> Nullable<DbInstant>, from_seq -> BigInt, to_seq -> BigInt,
            schema -> SmallInt,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    links (tenant_id, from_id, relation, to_id, from_seq) {
        tenant_id -> DbUuid, from_id -> DbUuid, relation -> Text, to_id -> DbUuid,
            from_seq -> BigInt, to_seq -> BigInt,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    requirement_links (tenant_id, from_id, requirement, from_seq) {
        tenant_id -> DbUuid, from_id -> DbUuid, requirement -> Text, from_seq -> BigInt,
            to_seq -> BigInt,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    organizations (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, time_zone -> Text,
            evidence_default_valid_days -> Integer,
        review_every_days -> Integer,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    people (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, email -> Nullable<Text>,
            worker_kind -> Nullable<Text>,
        starts_on -> Nullable<Date>, ends_on -> Nullable<Date>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    risk_methodologies (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, revision -> Integer,
            revision_in_force -> Nullable<Integer>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    raised_assets (tenant_id, id, to_seq) {
        tenant_id -> DbUuid, id -> DbUuid, from_seq -> BigInt, to_seq -> BigInt,
            confidentiality -> Nullable<Integer>, integrity -> Nullable<Integer>,
            availability -> Nullable<Integer>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    unfilled (kind) {
        kind -> Text,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    vulnerabilities (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, severity -> Text,
            source -> Nullable<Text>, cve -> Nullable<Text>,
        tool -> Nullable<Text>, component -> Nullable<Text>, weakness -> Nullable<Text>,
            found_on -> Nullable<Date>,
        fixed_on -> Nullable<Date>, reopened_on -> Nullable<Date>, reported_by -> Nullable<DbUuid>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    risks (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, category -> Nullable<Text>,
            affects_confidentiality -> Bool,
        affects_integrity -> Bool, affects_availability -> Bool,
            inherent_likelihood -> Nullable<Integer>,
        inherent_impact -> Nullable<Integer>, inherent_level -> Nullable<Text>,
            current_likelihood -> Nullable<Integer>,
        current_impact -> Nullable<Integer>, current_level -> Nullable<Text>,
            current_acceptable -> Nullable<Bool>,
        current_rank -> Nullable<Integer>,
        residual_likelihood -> Nullable<Integer>, residual_impact -> Nullable<Integer>,
            residual_level -> Nullable<Text>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    risk_treatments (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, risk_id -> DbUuid, option -> Text,
            expires_on -> Nullable<Date>,
        approved_seq -> Nullable<BigInt>, approved_owner_id -> Nullable<DbUuid>,
            approved_rank -> Nullable<Integer>,
        approved_methodology_id -> Nullable<DbUuid>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    controls (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, implementation -> Text,
            implemented_on -> Nullable<Date>,
        frequency -> Nullable<Text>, nature -> Nullable<Text>, responsibility -> Text,
            preventive -> Bool, detective -> Bool,
        corrective -> Bool,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    applicability (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, scope_id -> DbUuid,
            requirement -> Text, applicable -> Bool,
        justification -> Nullable<Text>, reasons -> Text,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    evidence (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, source -> Text,
            external_id -> Nullable<Text>, collected_at -> DbInstant,
        collected_on -> Date, period_start_on -> Nullable<Date>, period_end_on -> Nullable<Date>,
            expires_on -> Nullable<Date>,
        retain_until_on -> Nullable<Date>, confidentiality -> Text, hold -> Bool, attests -> Bool,
            sha256 -> Text, superseded_by_id -> Nullable<DbUuid>,
        pushed_by -> DbUuid, outcome -> Nullable<Text>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    frameworks (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, slug -> Text, edition -> Text,
            publisher -> Text, revision -> Integer,
        requirement_count -> Integer, mapping_count -> Integer, sha256 -> Text,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    framework_contents (tenant_id, sha256) {
        tenant_id -> DbUuid, sha256 -> Text, content -> Binary,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    soa_statements (tenant_id, sha256) {
        tenant_id -> DbUuid, sha256 -> Text, content -> Binary,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    gap_assessments (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, framework -> Text,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    users (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, email -> Text, roles -> Text,
            disabled_at -> Nullable<DbInstant>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    api_keys (tenant_id, id, version) {
        tenant_id -> DbUuid, id -> DbUuid, version -> Integer, role -> Text,
            expires_at -> DbInstant, revoked_at -> Nullable<DbInstant>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    credentials (tenant_id, user_id) {
        tenant_id -> DbUuid, user_id -> DbUuid, password_hash -> Nullable<Text>,
            setup_hash -> Nullable<Binary>,
        setup_expires_at -> Nullable<DbInstant>, issued_by -> Nullable<DbUuid>,
            issued_by_person -> Nullable<DbUuid>,
        issued_at -> DbInstant, holder_set_at -> Nullable<DbInstant>, epoch -> Integer,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    key_secrets (hash) {
        hash -> Binary, tenant_id -> DbUuid, key_id -> DbUuid, expires_at -> DbInstant,
            made_at -> DbInstant, current -> Bool,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    refresh_tokens (hash) {
        hash -> Binary, tenant_id -> DbUuid, user_id -> DbUuid, family -> DbUuid, epoch -> Integer,
            expires_at -> DbInstant,
        used_at -> Nullable<DbInstant>,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    login_attempts (subject) {
        subject -> Binary, failures -> Integer, last_at -> DbInstant,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    idempotency_keys (tenant_id, caller_id, operation, idempotency_key) {
        tenant_id -> DbUuid, caller_id -> DbUuid, operation -> Text, idempotency_key -> Text,
            fingerprint -> Binary, status -> Integer,
        etag -> Nullable<Text>, location -> Nullable<Text>, body -> Text, created_at -> DbInstant,
            sight -> BigInt,
        first_seq -> BigInt, last_seq -> BigInt,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    ledger_heads (tenant_id) {
        tenant_id -> DbUuid, size -> BigInt, peaks -> Binary, last_at -> DbInstant,
            epoch -> Integer, numbers -> Text,
        accounts_seq -> BigInt,
    }
}
table! {
    use diesel::sql_types::*; use crate::core::sql::*;
    ledger_entries (tenant_id, seq) {
        tenant_id -> DbUuid, seq -> BigInt, at -> DbInstant, request_id -> DbUuid,
            actor_kind -> Text, actor_id -> DbUuid,
        person_id -> Nullable<DbUuid>, action -> Text, reason -> Nullable<Text>,
            reason_salt -> Nullable<Binary>, kind -> Text,
        record_id -> DbUuid, record_version -> Integer, body -> Text, body_salt -> Binary,
            personal -> Nullable<Text>,
        personal_salt -> Nullable<Binary>, leaf -> Text, leaf_hash -> Binary,
            erased_by -> Nullable<BigInt>, schema -> SmallInt,
    }
}

// Only what is asked together: each register with the spine, and what the views join.
allow_tables_to_appear_in_same_query!(versions, organizations);
allow_tables_to_appear_in_same_query!(versions, people);
allow_tables_to_appear_in_same_query!(versions, risk_methodologies);
allow_tables_to_appear_in_same_query!(versions, vulnerabilities);
allow_tables_to_appear_in_same_query!(versions, risks);
allow_tables_to_appear_in_same_query!(versions, risk_treatments);
allow_tables_to_appear_in_same_query!(versions, controls);
allow_tables_to_appear_in_same_query!(versions, applicability);
allow_tables_to_appear_in_same_query!(applicability, ledger_entries);
allow_tables_to_appear_in_same_query!(versions, evidence);
allow_tables_to_appear_in_same_query!(versions, frameworks);
allow_tables_to_appear_in_same_query!(versions, gap_assessments);
allow_tables_to_appear_in_same_query!(versions, api_keys);
allow_tables_to_appear_in_same_query!(versions, links);
allow_tables_to_appear_in_same_query!(links, people);
allow_tables_to_appear_in_same_query!(versions, requirement_links);
allow_tables_to_appear_in_same_query!(versions, ledger_entries);
allow_tables_to_appear_in_same_query!(versions, records);
allow_tables_to_appear_in_same_query!(versions, ledger_heads);
allow_tables_to_appear_in_same_query!(links, controls);
allow_tables_to_appear_in_same_query!(links, records);
allow_tables_to_appear_in_same_query!(links, evidence);
allow_tables_to_appear_in_same_query!(links, raised_assets);
allow_tables_to_appear_in_same_query!(links, requirement_links);
allow_tables_to_appear_in_same_query!(requirement_links, evidence);
allow_tables_to_appear_in_same_query!(requirement_links, controls);
allow_tables_to_appear_in_same_query!(controls, evidence);
allow_tables_to_appear_in_same_query!(api_keys, evidence);
allow_tables_to_appear_in_same_query!(credentials, versions, users);
