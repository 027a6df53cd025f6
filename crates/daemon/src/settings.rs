//! Settings that are known by an older name too.

use clap::{Command, CommandFactory, FromArgMatches};

/// A variable and the older one that stands in for it where it is not set.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The name in the settings table.
    pub new: &'static str,
    /// The name it had.
    pub old: &'static str,
}

/// Reads the settings of `C` from the environment. An error of clap's names the variable; `error.exit()` prints it.
pub fn parse_settings<C: CommandFactory + FromArgMatches>(aliases: &[Alias]) -> Result<C, clap::Error> {
    let mut command = alias_env(C::command(), aliases);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    C::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Makes `command` read the old variable where the new one is not set. Errors then name the old one: it is the one
/// the operator wrote.
pub fn alias_env(command: Command, aliases: &[Alias]) -> Command {
    alias_where(command, aliases, |name| std::env::var_os(name).is_some())
}

fn alias_where(command: Command, aliases: &[Alias], is_set: impl Fn(&str) -> bool) -> Command {
    command.mut_args(|arg| {
        let env = arg.get_env().map(std::ffi::OsStr::to_os_string);
        let alias = aliases
            .iter()
            .find(|alias| env.as_deref().is_some_and(|name| name == alias.new));
        match alias {
            Some(alias) if !is_set(alias.new) && is_set(alias.old) => arg.env(alias.old).value_name(alias.old),
            _ => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Cli {
        /// A size.
        #[arg(
            long = "cache-size",
            env = "YAKS_NEW_NAME",
            value_name = "YAKS_NEW_NAME",
            default_value_t = 7
        )]
        _size: u32,
    }

    const ALIASES: [Alias; 1] = [Alias {
        new: "YAKS_NEW_NAME",
        old: "YAKS_OLD_NAME",
    }];

    fn variable_read_when_set(set: &[&str]) -> String {
        let command = alias_where(Cli::command(), &ALIASES, |name| set.contains(&name));
        let arg = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some("cache-size"))
            .unwrap();
        arg.get_env().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_old_name_counts_only_where_the_new_one_is_not_set() {
        assert_eq!(variable_read_when_set(&[]), "YAKS_NEW_NAME");
        assert_eq!(variable_read_when_set(&["YAKS_OLD_NAME"]), "YAKS_OLD_NAME");
        assert_eq!(
            variable_read_when_set(&["YAKS_NEW_NAME", "YAKS_OLD_NAME"]),
            "YAKS_NEW_NAME"
        );
    }

    #[test]
    fn a_wrong_value_is_blamed_on_the_variable_that_was_set() {
        let command = alias_where(Cli::command(), &ALIASES, |name| name == "YAKS_OLD_NAME");
        let message = command
            .try_get_matches_from(["x", "--cache-size=much"])
            .unwrap_err()
            .to_string();
        assert!(message.contains("YAKS_OLD_NAME"), "{message}");
    }
}
