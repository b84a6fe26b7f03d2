-- The flash-sale recipe that the module replaces: stock in a string, one hash of tokens per user, the log as JSON.
-- KEYS: stock, the user's tokens. ARGV: quantity, token.
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
  return redis.error_reply('DUPLICATE')
end
local stock = redis.call('GET', KEYS[1])
if stock == false then
  return redis.error_reply('NOSTOCK')
end
local before = tonumber(stock)
local quantity = tonumber(ARGV[1])
if before < quantity then
  return redis.error_reply('SOLDOUT')
end
local after = before - quantity
redis.call('SET', KEYS[1], string.format('%.0f', after))
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], ARGV[2], cjson.encode({
  action = 'deduct', from = before, to = after, change = quantity, by = ARGV[2],
  timestamp = time[1] * 1000 + math.floor(time[2] / 1000),
}))
return after
