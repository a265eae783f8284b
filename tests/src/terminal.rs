//! A terminal with a program at it, of which a test is the person: a real one, as a kernel makes it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Longest that anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one look to the next.
const GLANCE: Duration = Duration::from_millis(20);

/// A terminal; dropped, what runs at it is killed.
pub struct Terminal {
    keys: File,
    /// What programs are at.
    line: OwnedFd,
    shown: Arc<Mutex<String>>,
    child: Option<Child>,
}

impl Terminal {
    /// One of this size.
    ///
    /// # Panics
    /// When the kernel has none to give.
    #[must_use]
    pub fn new(rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let person = openpt(flags).expect("a terminal");
        grantpt(&person).and_then(|()| unlockpt(&person)).expect("it is ours");
        let line = ioctl_tiocgptpeer(&person, flags).expect("its other end");
        let keys = File::from(person);
        let screen = keys.try_clone().expect("it is shared");
        let shown = Arc::<Mutex<String>>::default();
        let onto = Arc::clone(&shown);
        std::thread::spawn(move || watch(screen, &onto));
        let terminal = Self { keys, line, shown, child: None };
        terminal.resize(rows, columns);
        terminal
    }

    /// Starts a program at it, as the leader of a session of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&mut self, program: &Command) {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let end = || self.line.try_clone().expect("it is shared");
        command.stdin(end()).stdout(end()).stderr(end());
        self.child = Some(command.spawn().expect("setsid is there"));
    }

    /// Types.
    ///
    /// # Panics
    /// When nothing takes it in.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// Makes it another size, which the kernel tells the program.
    ///
    /// # Panics
    /// When it cannot be.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.line, size).expect("it takes any size");
    }

    /// All that has been shown.
    ///
    /// # Panics
    /// When whoever reads it has.
    #[must_use]
    pub fn shown(&self) -> String {
        self.shown.lock().expect("no holder panics").clone()
    }

    /// Waits until a text is shown.
    ///
    /// # Panics
    /// When it is not in a minute.
    pub fn shows(&self, text: &str) {
        self.until(&format!("`{text}` is shown"), |terminal| terminal.shown().contains(text));
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it does not in a minute.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", self.shown());
            std::thread::sleep(GLANCE);
        }
    }

    /// Everything that is set of it, in words.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("{:?}", tcgetattr(&self.line).expect("it says how it is set"))
    }

    /// Whether it keeps keys to itself: echoes them, waits for whole lines, makes signals of them.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn keeps_keys(&self) -> bool {
        let local = tcgetattr(&self.line).expect("it says how it is set").local_modes;
        local.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// When none was started.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a program was started");
        kill_process(Pid::from_child(child), signal).expect("it is there");
    }

    /// Waits until the program has ended; its exit code.
    ///
    /// # Panics
    /// When it does not end in a minute, or by a signal.
    pub fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        let child = self.child.as_mut().expect("a program was started");
        loop {
            if let Some(status) = child.try_wait().expect("it can be waited for") {
                return status.code().expect("it ends by itself");
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.shown.lock().expect("no holder panics"));
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Keeps what is shown, until nobody holds the other end.
fn watch(mut screen: File, shown: &Mutex<String>) {
    let mut piece = [0; 4096];
    while let Ok(bytes @ 1..) = screen.read(&mut piece) {
        shown.lock().expect("no holder panics").push_str(&String::from_utf8_lossy(&piece[..bytes]));
    }
}
