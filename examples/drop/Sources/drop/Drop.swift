import Foundation
import StockClient

/// Sells against the Redis server of its argument, in two ways: by the module's commands alone, and as a sale whose
/// purchases become orders in a database. Whatever is not as it must be ends it with status 1 and a message.
@main
struct Drop {
  static func main() async {
    guard CommandLine.arguments.count == 2 else { end(64, "usage: drop redis://host:port | unix:///path/to/socket") }
    do {
      let stock = try await StockClient.connect(url: CommandLine.arguments[1])
      // Names of this run's own: the server remembers every token of its sales, and would answer from memory.
      let run = UUID().uuidString.prefix(8).lowercased()
      try await sellByCommands(stock, run: run)
      try await sellOut(stock, run: run)
      await stock.close()
    } catch {
      end(1, "drop: \(error)")
    }
  }

  private static func end(_ status: Int32, _ message: String) -> Never {
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    exit(status)
  }
}

/// What was not as it must be.
struct Mismatch: Error, CustomStringConvertible {
  let description: String
}

func check(_ isSo: Bool, _ what: String, found: @autoclosure () -> Any = "not so") throws {
  guard isSo else { throw Mismatch(description: "\(what): \(found())") }
  print("ok  \(what)")
}
