import Foundation
import Glibc

/// A fresh directory directly below /tmp, so that the paths of unix sockets in it stay under their 107 bytes.
///
/// It is removed with all it holds when the object goes, or, if the process dies first, by the ``Reaper``.
public final class TemporaryDirectory: Sendable {
  public let path: String

  public init() throws {
    var template = Array("/tmp/doorbuster.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TestServerError.system("mkdtemp", errno) }
    path = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map(UInt8.init), as: UTF8.self) }
    Reaper.shared.tell("directory \(path)")
  }

  deinit {
    // A fork of a server that was killed a moment ago may still make a file in it, so once may not be enough.
    _ = try? waitUntil("the end of \(path)", timeout: .seconds(5)) {
      try? FileManager.default.removeItem(atPath: path)
      return !FileManager.default.fileExists(atPath: path)
    }
    Reaper.shared.tell("removed \(path)")
  }

  /// The absolute path of `name` in this directory.
  public func file(_ name: String) -> String { path + "/" + name }
}
