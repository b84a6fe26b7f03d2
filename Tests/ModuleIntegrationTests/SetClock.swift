import Foundation
import TestServers
import Testing

/// A clock of a server's own, which can be set while the server runs: a library that is loaded before all others stands
/// between the server and the machine's clock. The monotonic clock goes on, as it does where a machine's clock is set.
struct SetClock {
  private let directory: TemporaryDirectory

  /// Builds the library, with the C compiler that the toolchain brings.
  init() throws {
    directory = try TemporaryDirectory()
    try set(aheadSeconds: 0)
    let source = directory.file("clock.c")
    try Self.source.write(toFile: source, atomically: true, encoding: .utf8)
    let outcome = try Subprocess.run("clang", ["-shared", "-fPIC", "-O1", "-o", library, source])
    try #require(outcome.status == .exited(0), "\(outcome.stderr)")
  }

  private var library: String { directory.file("clock.so") }

  /// A server that goes by this clock.
  var program: [String] {
    ["env", "LD_PRELOAD=\(library)", "SET_CLOCK=\(directory.file("ahead"))"] + BuiltFiles.redisServer
  }

  func set(aheadSeconds: Int) throws {
    try "\(aheadSeconds)".write(toFile: directory.file("ahead"), atomically: true, encoding: .utf8)
  }

  private static let source = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/time.h>
    #include <unistd.h>
    int gettimeofday(struct timeval *time, void *zone) {
      static int (*real)(struct timeval *, void *);
      if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
      int result = real(time, zone);
      const char *name = getenv("SET_CLOCK");
      int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
      if (file >= 0) {
        char text[32] = {0};
        if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
        close(file);
      }
      return result;
    }
    """
}
