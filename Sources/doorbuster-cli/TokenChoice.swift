import ArgumentParser
import Stock

/// The token of a purchase that was made before. One that `replay` or another client has sold may be any bytes.
struct TokenChoice: ParsableArguments {
  @Argument(help: "The purchase's token.", transform: Parse.token) var token: Token?
  @Option(
    help: ArgumentHelp("The token by its bytes, where it is no UTF-8.", valueName: "hex"),
    transform: Parse.hexToken
  )
  var tokenHex: Token?

  func validate() throws {
    guard (token == nil) != (tokenHex == nil) else {
      throw ValidationError(
        token == nil
          ? "Missing expected argument '<token>', or --token-hex"
          : "<token> and --token-hex each name the token; give one of them"
      )
    }
  }

  /// The one that was given.
  /// - Throws: `ValidationError` where there is none, which ``validate()`` has told.
  var value: Token {
    get throws {
      guard let token = token ?? tokenHex else { throw ValidationError("Missing expected argument '<token>'") }
      return token
    }
  }
}
