/// Where a node of a cluster takes commands.
public struct NodeAddress: Sendable, Hashable, CustomStringConvertible {
  /// A name or an address, without the brackets of IPv6.
  public let host: String
  public let port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// `host:port` as `MOVED` and `ASK` write it, where an IPv6 address has no brackets. A node that does not know its
  /// own address leaves the host out: it is the one that was asked.
  init?(redirection text: some StringProtocol, from asked: NodeAddress) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (1...65535).contains(port)
    else { return nil }
    self.init(host: Self.host(String(text[..<colon]), from: asked), port: port)
  }

  /// What a node calls a host, where it knows one.
  static func host(_ text: String?, from asked: NodeAddress) -> String {
    guard let text, !text.isEmpty, text != "?" else { return asked.host }
    return text
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
