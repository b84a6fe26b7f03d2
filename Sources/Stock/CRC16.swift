/// The CRC16 of Redis Cluster (CCITT/XMODEM: polynomial 0x1021, initial value 0).
public func crc16(_ bytes: [UInt8]) -> UInt16 {
  var crc: UInt16 = 0
  for byte in bytes {
    crc ^= UInt16(byte) << 8
    for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : (crc << 1) ^ 0x1021 }
  }
  return crc
}
