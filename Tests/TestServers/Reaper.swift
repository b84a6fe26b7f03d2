import Glibc

/// The shell script of the ``Reaper``, apart so that a test can watch it work.
public enum Reaping {
  public static let script = """
    trap '' INT TERM HUP
    without() { rest=; for each in $1; do [ "$each" = "$2" ] || rest="$rest $each"; done; }
    groups=; directories=
    while read -r verb what; do
      case $verb in
        group) groups="$groups $what" ;;
        ended) without "$groups" "$what"; groups=$rest ;;
        directory) directories="$directories $what" ;;
        removed) without "$directories" "$what"; directories=$rest ;;
      esac
    done
    for each in $groups; do kill -s KILL -- "-$each"; done
    [ -z "$directories" ] || rm -rf $directories
    """
}

/// A tiny shell beside the test process that ends what the tests started and removes their directories when the test
/// process is gone, however it went.
///
/// It reads lines from a socket whose other end only the test process holds, so the kernel tells it of a crash. A
/// parent-death signal would not do: it fires when the *thread* that started the child ends.
final class Reaper: Sendable {
  static let shared = Reaper()

  private let socket: Int32

  private init() {
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      socket = -1
      return
    }
    socket = ends[0]
    _ = try? spawnProcess(
      ["/bin/sh", "-c", Reaping.script],
      directory: "/",
      input: .descriptor(ends[1]),
      output: "/dev/null",
      errors: "/dev/null"
    )
    close(ends[1])
  }

  /// Sends one line: `group PID`, `ended PID`, `directory PATH` or `removed PATH`.
  func tell(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }
}
