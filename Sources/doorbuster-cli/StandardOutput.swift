import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// The one place where this program writes to its standard output, so that no part of a report is lost in silence.
///
/// The first write that fails is the last one that is tried; ``exitStatus(after:)`` tells of it in the end.
enum StandardOutput {
  private struct State {
    /// Why nothing more is written: the number of the system's error.
    var fault: Int32?
    /// What the command has done by now, whether or not it can be read.
    var done: String?
  }

  private static let state = Mutex(State())

  /// Whether nothing written arrives any more.
  static var isGone: Bool { state.withLock { $0.fault != nil } }

  static func write(_ data: Data) {
    state.withLock { state in
      if state.fault == nil { state.fault = fault(ofWriting: data) }
    }
  }

  /// Notes what stands even where nobody can read of it, as a clause.
  static func note(done: String) { state.withLock { $0.done = done } }

  /// The status to end with: the command's own, unless that would hide that its report was not written. A reader that
  /// went away (`| head`) is no failure of ours.
  static func exitStatus(after status: Int32) -> Int32 {
    let (fault, done) = state.withLock { ($0.fault, $0.done) }
    guard let fault, fault != EPIPE else { return status }
    let reason = String(cString: strerror(fault))
    Output.note("Error: standard output can't be written: \(reason)" + (done.map { "; \($0)" } ?? ""))
    return status == 0 ? EXIT_FAILURE : status
  }

  /// Puts something in the place of each standard stream that is closed. Otherwise the next file that is opened would
  /// take its number, and what is printed would end up in a database. Writing to the one that stands for standard output fails.
  static func reserveStandardStreams() {
    for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) == -1 {
      _ = open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Nil where all of it is written.
  private static func fault(ofWriting data: Data) -> Int32? {
    data.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let written = Glibc.write(STDOUT_FILENO, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written >= 0 {
          rest = rest.dropFirst(written)
        } else if errno == EAGAIN {
          // A terminal or pipe that another program has made non-blocking: wait until it takes more.
          var descriptor = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
          _ = poll(&descriptor, 1, -1)
        } else if errno != EINTR {
          return errno
        }
      }
      return nil
    }
  }
}
