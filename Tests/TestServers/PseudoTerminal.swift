import Glibc
import Synchronization

/// A terminal of 120 columns whose other side keeps all that a program writes to it.
final class PseudoTerminal: Sendable {
  /// The device that the program opens.
  let path: String
  private let master: Int32
  private let written = Mutex<[UInt8]>([])

  init() throws {
    var (ours, theirs): (Int32, Int32) = (-1, -1)
    var name = [CChar](repeating: 0, count: 128)
    guard openpty(&ours, &theirs, &name, nil, nil) == 0 else { throw TestServerError.system("openpty", errno) }
    _ = fcntl(ours, F_SETFD, FD_CLOEXEC)
    close(theirs)
    master = ours
    path = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
    var size = winsize(ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
  }

  deinit { close(master) }

  /// All that was written so far, with the terminal's line ends (CR LF).
  func text() -> String {
    var room = [UInt8](repeating: 0, count: 65_536)
    return written.withLock { written in
      while true {
        var waiting = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 0) > 0 else { break }
        let count = read(master, &room, room.count)
        guard count > 0 else { break }
        written += room[..<count]
      }
      return String(decoding: written, as: UTF8.self)
    }
  }
}
