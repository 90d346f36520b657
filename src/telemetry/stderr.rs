//! Standard error, for lines of the log: a reader that stops reading (a hung log driver, a stopped terminal) costs lines and
//! holds up nobody.
//!
//! A write into a full pipe waits for its reader. A thread that waits there answers no push, and the next one that logs waits
//! behind it. So a line waits for a moment only, and for none once one was dropped. What is not written is counted, and the
//! next line that is written says so. Lines stand in the log when the call returns, also at a crash: there is no queue.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    sync::{Mutex, PoisonError},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
};

/// What a pipe that says it is writable takes without waiting: `PIPE_BUF` on Linux, pipe(7).
const AT_ONCE: usize = 4096;
/// What a line waits for a reader that is slow, and not gone: many lines at once (a start with many accounts) need it.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// What it waits for one that did not take the line before.
const NONE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// What was not written since the last line that was.
#[derive(Debug, Default)]
struct Dropped {
    lines: u64,
    /// The last line that was written was cut: it has no line break.
    cut: bool,
}

static DROPPED: Mutex<Dropped> = Mutex::new(Dropped { lines: 0, cut: false });

/// Says how many lines were dropped, as a line of the log.
pub(super) type Notice = fn(u64) -> String;

/// Standard error: one call of `write` is one or more whole lines. It never waits long for a pipe's reader, and it never fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stderr(pub(super) Notice);

impl Write for Stderr {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut dropped = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
        write_in_time(&mut io::stderr().lock(), &mut dropped, self.0, lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_in_time(out: &mut (impl Write + AsFd), dropped: &mut Dropped, notice: Notice, lines: &[u8]) {
    if dropped.lines > 0 {
        let line_break = if dropped.cut { "\n" } else { "" };
        let notice = format!("{line_break}{}", notice(dropped.lines));
        if !takes(out, NONE) || out.write_all(notice.as_bytes()).is_err() {
            dropped.lines += 1;
            return;
        }
        *dropped = Dropped::default();
    }
    for (number, part) in lines.chunks(AT_ONCE).enumerate() {
        if !takes(out, PATIENCE) || out.write_all(part).is_err() {
            dropped.lines += 1;
            dropped.cut = number > 0;
            return;
        }
    }
}

fn takes(out: &impl AsFd, within: Timespec) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::OUT)];
    retry_on_intr(|| poll(&mut polled, Some(&within))).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _};

    use super::*;

    fn notice(lines: u64) -> String {
        format!("{lines} dropped\n")
    }

    #[test]
    fn a_full_pipe_costs_lines_and_the_next_line_that_fits_says_how_many() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let mut dropped = Dropped::default();
        let line = format!("{}\n", "x".repeat(1000));
        while dropped.lines == 0 {
            write_in_time(&mut writer, &mut dropped, notice, line.as_bytes());
        }
        write_in_time(&mut writer, &mut dropped, notice, line.as_bytes());
        assert_eq!(dropped.lines, 2);
        let mut written = vec![0; 32 * 1024];
        reader.read_exact(&mut written).unwrap();
        write_in_time(&mut writer, &mut dropped, notice, b"last\n");
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("x\n2 dropped\nlast\n"), "{rest}");
    }

    #[test]
    fn a_reader_that_is_slow_gets_every_line() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let read = std::thread::spawn(move || {
            let (mut all, mut part) = (0, vec![0; 2048]);
            while let Ok(bytes @ 1..) = reader.read(&mut part) {
                all += bytes;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            all
        });
        let mut dropped = Dropped::default();
        for _ in 0..300 {
            write_in_time(&mut writer, &mut dropped, notice, &[b'x'; 1000]);
        }
        drop(writer);
        assert_eq!((read.join().unwrap(), dropped.lines), (300_000, 0));
    }

    #[test]
    fn a_line_longer_than_what_a_pipe_takes_is_cut_and_the_next_begins_anew() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let mut dropped = Dropped::default();
        let long = format!("{}\n", "y".repeat(1 << 20));
        write_in_time(&mut writer, &mut dropped, notice, long.as_bytes());
        assert!(dropped.cut && dropped.lines == 1, "{dropped:?}");
        reader.read_exact(&mut vec![0; 32 * 1024]).unwrap();
        write_in_time(&mut writer, &mut dropped, notice, b"last\n");
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("y\n1 dropped\nlast\n"), "{rest:.100}");
    }

    #[test]
    fn a_file_takes_all_and_a_full_device_fails_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        let mut dropped = Dropped::default();
        write_in_time(&mut file, &mut dropped, notice, &[b'z'; 10_000]);
        assert_eq!((dropped.lines, file.metadata().unwrap().len()), (0, 10_000));
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        write_in_time(&mut full, &mut dropped, notice, b"lost\n");
        assert_eq!(dropped.lines, 1);
    }
}
