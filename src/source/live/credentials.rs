//! Who logs in with what: from the configuration, the environment, or a file.

use crate::error::{Kind, fault};
use crate::privacy::Secret;
use anyhow::Result;
use std::env;
use std::fs;
use std::path::PathBuf;

/// Who logs in, as it is written: `${NAME}` stands for a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Name of the user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
}

/// Who logs in, ready to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Login {
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

impl Login {
    /// The same with `other` where this one says nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            user: self.user.or(other.user),
            password: self.password.or(other.password),
        }
    }
}

impl Credentials {
    /// Asks environment and file; errors name the keys of `section`.
    ///
    /// # Errors
    /// 78 where a variable is not set or the file cannot be read.
    pub(crate) fn resolve(&self, section: &str) -> Result<Login> {
        let variable = |name: &str| env::var(name).ok();
        let user = self.user.as_deref().map(|user| expand(&format!("{section}.user"), user, variable));
        let mut password = self
            .password
            .as_ref()
            .map(|p| expand(&format!("{section}.password"), p.reveal(), variable))
            .transpose()?;
        if let Some(file) = &self.password_file {
            let text = fs::read_to_string(file).map_err(|error| {
                let line = format!("{section}.password_file {} cannot be read: {error}", file.display());
                fault(Kind::Config, line)
            })?;
            password = Some(text.lines().next().unwrap_or_default().to_owned());
        }
        Ok(Login {
            user: user.transpose()?,
            password: password.map(Secret::new),
        })
    }
}

/// `text` with every `${NAME}` replaced.
pub(crate) fn expand(key: &str, text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        let value = variable(name).ok_or_else(|| {
            let line = format!("{key} wants the variable {name}, which the environment does not have: set it");
            fault(Kind::Config, line)
        })?;
        expanded += before;
        expanded += &value;
        rest = behind;
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_a_missing_one_is_named() {
        let variable = |name: &str| (name == "PASS").then(|| "hunter22".to_owned());
        assert_eq!(expand("k", "a${PASS}b${PASS}", variable).unwrap(), "ahunter22bhunter22");
        assert_eq!(expand("k", "a$b${c", variable).unwrap(), "a$b${c");
        let error = expand("source.password", "x${NONE}", variable).unwrap_err().to_string();
        assert!(error.contains("source.password") && error.contains("NONE"), "{error}");
    }

    #[test]
    fn a_file_gives_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "hunter22\n").unwrap();
        let from = |file: PathBuf| Credentials {
            password_file: Some(file),
            ..Credentials::default()
        };
        assert_eq!(from(file).resolve("source").unwrap().password, Some(Secret::new("hunter22")));
        let error = from(folder.path().join("none")).resolve("source").unwrap_err().to_string();
        assert!(error.contains("none cannot be read"), "{error}");
    }
}
