import Glibc

/// A blocking connection that speaks raw RESP and knows nothing of the product. To be used by one thread at a time.
public final class RawRedis: @unchecked Sendable {
  private let descriptor: Int32
  private var parser = RESPParser()

  /// The longest that ``receive()`` waits for a reply.
  public var timeout: Duration = .seconds(20)

  /// Connects to a unix socket.
  public init(path: String) throws {
    descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard path.utf8.count < room else { throw TestServerError.launch("the socket path \(path) is too long") }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    try connect(to: &address)
  }

  /// Connects to a port of this machine.
  public init(port: Int) throws {
    descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    try connect(to: &address)
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout.size(ofValue: on)))
  }

  deinit { close(descriptor) }

  private func connect<Address>(to address: inout Address) throws {
    guard descriptor >= 0 else { throw TestServerError.system("socket", errno) }
    let size = socklen_t(MemoryLayout<Address>.size)
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) }
    }
    guard code == 0 else { throw TestServerError.system("connect", errno) }
  }

  /// Sends one command and waits for its reply. An error reply is a value, not a throw.
  @discardableResult
  public func call(_ arguments: any RedisArgument...) throws -> RESP {
    try send(arguments)
    return try receive()
  }

  @discardableResult
  public func call(_ arguments: [any RedisArgument]) throws -> RESP {
    try send(arguments)
    return try receive()
  }

  /// Sends one command without waiting: its reply is one of the next that ``receive()`` gives.
  public func send(_ arguments: [any RedisArgument]) throws {
    try send(bytes: Self.encode(arguments))
  }

  /// Sends all commands at once and gives their replies in order.
  public func pipeline(_ commands: [[any RedisArgument]]) throws -> [RESP] {
    // In slices, so that the server's replies never fill both sides' buffers while requests are still being sent.
    var replies: [RESP] = []
    for start in stride(from: 0, to: commands.count, by: 500) {
      let slice = commands[start..<min(start + 500, commands.count)]
      try send(bytes: slice.flatMap(Self.encode))
      for _ in slice { replies.append(try receive()) }
    }
    return replies
  }

  /// A command as it goes over the wire.
  public static func encode(_ arguments: [any RedisArgument]) -> [UInt8] {
    var bytes = Array("*\(arguments.count)\r\n".utf8)
    for argument in arguments {
      let text = argument.argumentBytes
      bytes += Array("$\(text.count)\r\n".utf8) + text + [0x0d, 0x0a]
    }
    return bytes
  }

  /// Sends bytes as they are, for requests that no honest client would send.
  public func send(bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 {
        guard errno == EINTR else { throw errno == EPIPE ? .closed : TestServerError.system("send", errno) }
      } else {
        sent += count
      }
    }
  }

  /// The next reply, or what the server pushes.
  ///
  /// - Throws: ``TestServerError/timeout(_:)`` after ``timeout``, ``TestServerError/closed`` at the end of the stream.
  public func receive() throws -> RESP {
    try take("a reply") { try $0.next() }
  }

  /// The next line, for the streams that don't begin with RESP.
  func receiveLine() throws -> String {
    try take("a line") { $0.nextLine() }
  }

  /// Waits for that many bytes and drops them.
  func skip(_ count: Int) throws {
    _ = try take("\(count) bytes") { $0.skip(count) ? true : nil }
  }

  private func take<Value>(_ what: String, _ next: (inout RESPParser) throws -> Value?) throws -> Value {
    let deadline = ContinuousClock.now + timeout
    while true {
      if let value = try next(&parser) { return value }
      try fill(what, deadline)
    }
  }

  private func fill(_ what: String, _ deadline: ContinuousClock.Instant) throws {
    let left = ContinuousClock.now.duration(to: deadline)
    let leftMs = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
    guard leftMs > 0 else { throw TestServerError.timeout(what) }
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&waiting, 1, Int32(clamping: leftMs)) > 0 else { return }
    let read = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { room in
      let count = recv(descriptor, room.baseAddress, room.count, 0)
      if count > 0 { parser.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
      return count
    }
    if read == 0 { throw TestServerError.closed }
    if read < 0, errno != EINTR {
      throw errno == ECONNRESET ? .closed : TestServerError.system("recv", errno)
    }
  }
}
