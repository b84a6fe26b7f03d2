import ArgumentParser
import Doorbuster
import Stock

struct CancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel",
    abstract: "Cancel a purchase, held or sold; its units go back on sale.",
    discussion: """
      The order follows by the bucket's log; on the path database it is cancelled at once. Status 2: no purchase has \
      this token.
      """
  )

  private struct Answer: Encodable { var outcome: String }

  @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
  @OptionGroup var choice: TokenChoice
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let token = try choice.value
    let outcome = try await Deployment.with(servers.choice, for: sku) { deployment in
      try await deployment.doorbuster.cancel(sku, token: token)
    }
    let (word, text) =
      switch outcome {
      case .cancelled: ("cancelled", "cancelled; its units are on sale again")
      case .alreadyCancelled: ("alreadyCancelled", "cancelled before")
      case .unknownToken: ("unknownToken", "no purchase of \(sku) has the token \(token)")
      }
    if outcome != .unknownToken { StandardOutput.note(done: "the purchase itself is cancelled") }
    if output.json {
      try Output.json(Answer(outcome: word))
    } else {
      Output.line(text)
    }
    if outcome == .unknownToken { throw ExitCode(2) }
  }
}
