//! A program beside the sandbox: kubectl, clusterctl.

use std::path::PathBuf;
use std::process::Output;

use super::Plane;

pub struct Tool {
    program: PathBuf,
    home: PathBuf,
}

impl Tool {
    pub fn of(plane: &Plane, name: &str) -> Option<Self> {
        let program = super::program(name)?;
        let home =
            std::env::temp_dir().join(format!("capstan-sandbox-{}-{name}", plane.sandbox.address().port()));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("kubeconfig"), plane.sandbox.kubeconfig()).unwrap();
        Some(Self { program, home })
    }

    /// Runs it beside the sandbox; both text and success are wanted.
    pub async fn run(&self, arguments: &str) -> String {
        let output = self.try_run(arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    pub async fn try_run(&self, arguments: &str) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// Runs it and gives what it says when it fails, which it must.
    pub async fn refused(&self, arguments: &str) -> String {
        let output = self.try_run(arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{arguments}: {text}");
        text + &String::from_utf8_lossy(&output.stderr)
    }

    /// The program with arguments.
    pub fn command(&self, arguments: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", self.home.join("kubeconfig"))
            .env("HOME", &self.home)
            .env("CLUSTERCTL_DISABLE_VERSIONCHECK", "true")
            // kubectl's websockets take no URL with a user in it; the older protocol shows what the server says.
            .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")
            .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // Left-overs in the temporary folder are no reason to fail.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
