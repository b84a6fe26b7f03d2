import Glibc
import RedisDriver
import Synchronization

/// A TCP server on a free port of 127.0.0.1 that speaks RESP as a script tells it.
final class ScriptedPeer: Sendable {
  enum Reaction: Sendable {
    /// Sends these bytes.
    case reply(String)
    /// Closes the connection instead of replying.
    case hangUp
    /// Keeps the connection and says nothing.
    case silence
  }

  /// What to do about one command other than the driver's greeting. Called one at a time.
  typealias Script = @Sendable (_ command: [String]) -> Reaction

  let port: Int
  private let listener: Int32
  private let script: Script
  private let heard = Mutex<[String]>([])
  private let turn = Mutex(())

  /// The names of the commands heard, in order, without the greeting's.
  var commands: [String] { heard.withLock { $0 } }

  var url: RedisURL { RedisURL(endpoint: .tcp(host: "127.0.0.1", port: port)) }

  init(script: @escaping Script) throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let fd = listener
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(fd, pointer, size) == 0 && listen(fd, 16) == 0 && getsockname(fd, pointer, &size) == 0
      }
    }
    guard isListening else { throw PeerError(errno: errno) }
    port = Int(UInt16(bigEndian: address.sin_port))
    self.script = script
    Self.startThread { [self] in acceptAll() }
  }

  /// Refuses further connections; those that are there go on.
  func stopListening() { shutdown(listener, Int32(SHUT_RDWR)) }

  private func acceptAll() {
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { break }
      Self.startThread { [self] in serve(connection) }
    }
    close(listener)
  }

  private func serve(_ connection: Int32) {
    defer { close(connection) }
    var commands = CommandParser()
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      commands.feed(buffer[..<count])
      while let command = commands.next() {
        switch reaction(to: command) {
        case .reply(let text):
          let bytes = Array(text.utf8)
          guard send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return }
        case .hangUp: return
        case .silence: break
        }
      }
    }
  }

  private func reaction(to command: [String]) -> Reaction {
    switch command[0] {
    case "PING": return .reply("+PONG\r\n")
    case "AUTH", "SELECT": return .reply("+OK\r\n")
    default:
      return turn.withLock { _ in
        heard.withLock { $0.append(command[0]) }
        return script(command)
      }
    }
  }

  private static func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      },
      box.toOpaque()
    )
    pthread_detach(thread)
  }
}

struct PeerError: Error {
  var errno: Int32
}

/// Takes requests, arrays of bulk strings, out of a stream of bytes.
struct CommandParser {
  private var bytes: [UInt8] = []

  mutating func feed(_ more: ArraySlice<UInt8>) { bytes += more }

  /// Nil until a whole command is there.
  mutating func next() -> [String]? {
    var rest = bytes[...]
    guard let count = Self.number(after: "*", &rest) else { return nil }
    var words: [String] = []
    for _ in 0..<count {
      guard let size = Self.number(after: "$", &rest), rest.count >= size + 2 else { return nil }
      words.append(String(decoding: rest.prefix(size), as: UTF8.self))
      rest = rest.dropFirst(size + 2)
    }
    bytes = Array(rest)
    return words
  }

  private static func number(after mark: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Int? {
    guard rest.first == UInt8(ascii: mark), let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let digits = rest[(rest.startIndex + 1)..<(end - 1)]
    rest = rest[(end + 1)...]
    return Int(String(decoding: digits, as: UTF8.self))
  }
}
