//! What whoever has the shell can do with accounts, also where nobody can log in any more.
use crate::support::postgres;
use crate::support::process::{Server, ask, connect, isms};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

const ORGANIZATION: &str = "Example Shop";
const EMAIL: &str = "security@example.org";

/// Runs `isms admin …`; the password comes on standard input where one is given.
fn admin(dir: &Path, database: Option<&str>, arguments: &[&str], password: Option<&str>) -> Output {
    let mut command = isms(dir, &[&["admin"], arguments].concat());
    command.envs(database.map(|url| ("DATABASE_URL", url)));
    let Some(password) = password else {
        return command.output().unwrap();
    };
    command
        .env_remove("ISMS_ADMIN_PASSWORD")
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(password.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}
#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}");
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(
        !said.contains("/password") && !said.contains("/name"),
        "a JSON pointer: {said}"
    );
}
fn login(address: &str, password: &str) -> (u16, Value) {
    let body = json!({"email": EMAIL, "password": password});
    ask(
        &mut connect(address),
        "",
        "POST",
        "/v1/auth/login",
        Some(&body),
    )
    .unwrap()
}

fn accounts_are_recovered(database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let create = ["create", "--organization", ORGANIZATION, "--email", EMAIL];
    let run = |arguments: &[&str]| admin(dir, database, arguments, None);
    let made = lines(&run(&[
        &create[..],
        &[
            "--name",
            "Head of security",
            "--time-zone",
            "Europe/Berlin",
            "--api-key",
        ],
    ]
    .concat()));
    let key = made[0]["api_key"].as_str().unwrap().to_owned();
    // Once more by mistake, and on purpose; what is wrong is said in words of the options.
    refused(&run(&create), &["--another", ORGANIZATION]);
    refused(
        &run(&[&create[..], &["--another", "--name", EMAIL]].concat()),
        &["--name"],
    );
    refused(
        &run(&[&create[..], &["--another", "--name", "security"]].concat()),
        &["--name"],
    );
    refused(
        &run(&[&create[..], &["--another", "--time-zone", "Mars/Olympus"]].concat()),
        &["--time-zone"],
    );
    let nowhere = ["create", "--organization", "Other", "--email", "nowhere"];
    refused(&run(&nowhere), &["--email"]);
    refused(
        &admin(
            dir,
            database,
            &[&create[..], &["--another"]].concat(),
            Some("short"),
        ),
        &["password"],
    );
    let list = lines(&run(&["list", "--organization", ORGANIZATION]));
    assert_eq!(list.len(), 1);
    let first = &list[0];
    assert_eq!(
        (&first["code"], &first["email"], &first["name"]),
        (&json!("USR-1"), &json!(EMAIL), &json!("Head of security"))
    );
    assert_eq!(
        (&first["roles"], &first["has_password"]),
        (&json!(["admin", "manager"]), &json!(true))
    );
    refused(
        &run(&["list", "--organization", "Nobody's"]),
        &["admin list"],
    );
    let at = ["--organization", ORGANIZATION, "--email", EMAIL];
    refused(
        &run(&[&["grant"], &at[..], &["--role", "owner"]].concat()),
        &["--role", "internal_auditor"],
    );
    let elsewhere = [
        "set-password",
        "--organization",
        ORGANIZATION,
        "--email",
        "nobody@example.org",
    ];
    refused(&run(&elsewhere), &["nobody@example.org", "admin list"]);
    refused(
        &admin(
            dir,
            database,
            &[&["set-password"], &at[..]].concat(),
            Some("password1234"),
        ),
        &["password"],
    );
    // A forgotten password, while the service runs: beside PostgreSQL only.
    let set = [&["set-password"], &at[..]].concat();
    let server = Server::start(dir, database);
    let before = login(&server.address, "correct horse battery").1;
    let next = admin(dir, database, &set, Some("seven green boats drift\n"));
    let server = match database {
        Some(_) => {
            lines(&next);
            server
        }
        None => {
            refused(&next, &["stop it"]);
            drop(server);
            lines(&admin(
                dir,
                database,
                &set,
                Some("seven green boats drift\n"),
            ));
            Server::start(dir, database)
        }
    };
    assert_eq!(login(&server.address, "correct horse battery").0, 401);
    let (status, tokens) = login(&server.address, "seven green boats drift");
    assert_eq!(status, 200);
    let refresh = json!({"refresh_token": before["refresh_token"]});
    let again = ask(
        &mut connect(&server.address),
        "",
        "POST",
        "/v1/auth/refresh",
        Some(&refresh),
    );
    assert_eq!(again.unwrap().0, 401, "the sessions from before have ended");
    // It is in the ledger as the system's.
    let token = tokens["access_token"].as_str().unwrap();
    let history = ask(
        &mut connect(&server.address),
        token,
        "GET",
        "/v1/users/USR-1/history",
        None,
    )
    .unwrap()
    .1;
    let latest = &history["data"][0];
    assert_eq!(
        (&latest["action"], &latest["actor"]["kind"]),
        (&json!("set_password"), &json!("system"))
    );
    // Whatever happened to the last admin, the shell brings one back.
    let second = json!({"name": "Second", "email": "second@example.org", "roles": ["auditor"]});
    let second = ask(
        &mut connect(&server.address),
        token,
        "POST",
        "/v1/users",
        Some(&second),
    )
    .unwrap();
    assert_eq!(second.0, 201, "{}", second.1);
    assert_eq!(
        ask(&mut connect(&server.address), &key, "GET", "/v1/me", None)
            .unwrap()
            .0,
        200
    );
    drop(server);
    let grant = [
        "grant",
        "--organization",
        ORGANIZATION,
        "--email",
        "second@example.org",
    ];
    let granted = lines(&run(&grant));
    assert_eq!(granted[0]["roles"], json!(["auditor", "admin"]));
    let other = lines(&run(&[&create[..], &["--another"]].concat()));
    let name = other[0]["organization_id"].as_str().unwrap();
    refused(
        &run(&["list", "--organization", ORGANIZATION]),
        &["several", name],
    );
    assert_eq!(lines(&run(&["list", "--organization", name])).len(), 1);
}

#[test]
fn accounts_are_recovered_on_sqlite() {
    accounts_are_recovered(None);
}

#[test]
fn accounts_are_recovered_on_postgresql() {
    let Some(server) = postgres::server() else {
        return;
    };
    server.create("isms_commands");
    accounts_are_recovered(Some(&server.url("isms_commands")));
}
