import Glibc
import TestServers

/// What the connections of a load say, batch by batch.
protocol Dialogue {
  /// Appends the next batch of a connection and returns how many replies it asks for, 0 when the connection has no more
  /// to say.
  mutating func nextBatch(of connection: Int, into buffer: inout [UInt8]) -> Int

  /// Takes one reply; false if it is not as it should be.
  mutating func take(_ reply: Slice<UnsafeBufferPointer<UInt8>>, of connection: Int) -> Bool
}

/// Connections to a unix socket, each of which sends a batch, waits for its replies and sends the next: one thread for all.
struct LoadGenerator {
  let socketPath: String
  let connections: Int

  /// Plays a dialogue to its end.
  ///
  /// - Returns: how long it took, in seconds.
  /// - Throws: ``BenchError`` at the first reply that is not as it should be.
  func play(_ dialogue: inout some Dialogue) throws -> Double {
    var all = try (0..<connections).map { _ in try BatchConnection(path: socketPath) }
    defer { for connection in all { connection.close() } }
    let start = ContinuousClock.now
    var waiting: [pollfd] = []
    for index in all.indices {
      let speaks = try all[index].sendNext(&dialogue, index)
      // What is below zero is not waited for.
      waiting.append(pollfd(fd: speaks ? all[index].descriptor : -1, events: Int16(POLLIN), revents: 0))
    }
    var live = waiting.count { $0.fd >= 0 }
    while live > 0 {
      let count = poll(&waiting, nfds_t(waiting.count), 30_000)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw TestServerError.timeout("replies to the load") }
      for index in waiting.indices where waiting[index].revents != 0 {
        guard try all[index].receive(&dialogue, index) == .done else { continue }
        waiting[index].fd = -1
        live -= 1
      }
    }
    return start.duration(to: .now) / .seconds(1)
  }
}

private struct BatchConnection {
  enum Progress { case waits, done }

  let descriptor: Int32
  private var awaited = 0
  private var outgoing: [UInt8] = []
  private var incoming = [UInt8](repeating: 0, count: 65_536)
  private var filled = 0

  init(path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let descriptor = descriptor
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
    }
    guard code == 0 else { throw TestServerError.system("connect", errno) }
  }

  func close() { _ = Glibc.close(descriptor) }

  /// Sends the next batch; false if there is none.
  mutating func sendNext(_ dialogue: inout some Dialogue, _ index: Int) throws -> Bool {
    outgoing.removeAll(keepingCapacity: true)
    awaited = dialogue.nextBatch(of: index, into: &outgoing)
    var sent = 0
    while sent < outgoing.count {
      let count = outgoing.withUnsafeBytes {
        send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 || errno == EINTR else { throw TestServerError.system("send", errno) }
      sent += max(count, 0)
    }
    return awaited > 0
  }

  mutating func receive(_ dialogue: inout some Dialogue, _ index: Int) throws -> Progress {
    let room = incoming.count - filled
    let at = filled
    let descriptor = descriptor
    let count = incoming.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress?.advanced(by: at), room, 0) }
    guard count > 0 else { throw TestServerError.closed }
    filled += count
    let (received, wanted) = (filled, awaited)
    let (consumed, taken) = try incoming.withUnsafeBufferPointer { bytes in
      let received = UnsafeBufferPointer(rebasing: bytes[..<received])
      var (start, taken) = (0, 0)
      while taken < wanted, let end = ReplyScanner.end(of: received, from: start) {
        guard dialogue.take(received[start..<end], of: index) else {
          throw BenchError.unexpectedReply(String(decoding: received[start..<min(end, start + 200)], as: UTF8.self))
        }
        taken += 1
        start = end
      }
      return (start, taken)
    }
    awaited -= taken
    if consumed < filled { incoming.replaceSubrange(0..<filled - consumed, with: incoming[consumed..<filled]) }
    filled -= consumed
    guard awaited == 0 else { return .waits }
    return try sendNext(&dialogue, index) ? .waits : .done
  }
}

enum BenchError: Error, CustomStringConvertible {
  case unexpectedReply(String)
  case missing(String)

  var description: String {
    switch self {
    case .unexpectedReply(let reply): "a reply that was not expected: \(reply)"
    case .missing(let what): "\(what) is missing"
    }
  }
}
