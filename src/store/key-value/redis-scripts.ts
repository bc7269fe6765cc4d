/**
 * The scripts of a Redis place. Redis runs each whole, with nothing in between. All keys share one hash tag, so that they
 * lie in one slot; the names that a listing reads come out of the index, and are not declared.
 *
 * The index is a sorted set of all names with one score, which Redis then orders by their bytes. A name may outlive its
 * text, which Redis expires by itself; listings remove it. It never lacks one: it is there before its text, and leaves
 * after it. A hash has the version of each text. No version comes twice: it is the server's time in microseconds, or one
 * more than the last.
 */

/** How many keys one command of a script takes: Lua's stack ends below 8,000, and their texts come together. */
const AT_ONCE = 200;

/**
 * Changes, all or none. KEYS: the index, the versions, the last version, the answer, then one for each change. ARGV: how
 * long the answer is kept in milliseconds, the length of what stands before each name, then of each change what is
 * expected (`*` anything, `-` nothing, `=` and a text), what is to be (`-` nothing, `=` and a text), and when it expires
 * (milliseconds since 1970, or nothing). Returns 1, or 0 where an expectation failed. The answer is kept, so that a batch
 * that is sent again because its answer was lost is not made twice.
 *
 * Nothing is undone when a command fails in the middle, so what may fail comes first: keys of another type fail where they
 * are read, and a full memory, a replica or a full disk at the first change. Removing works with a full memory.
 */
export const WRITE = `
local index, versions, last = KEYS[1], KEYS[2], KEYS[3]
local answer = redis.call('GET', KEYS[4])
if answer then return tonumber(answer) end
redis.call('ZCARD', index)
redis.call('HLEN', versions)
local time = redis.call('TIME')
local version = math.max(time[1] * 1000000 + time[2], (redis.call('GET', last) or 0) + 1)
answer = 1
for i = 5, #KEYS do
  local expected = ARGV[3 * i - 12]
  if expected ~= '*' then
    local text = redis.call('GET', KEYS[i])
    if (text and '=' .. text or '-') ~= expected then
      answer = 0
      break
    end
  end
end
if answer == 1 then
  version = string.format('%.0f', version)
  local isNewer = false
  local keys, names = {}, {}
  local function remove()
    if #keys > 0 then
      redis.call('DEL', unpack(keys))
      redis.call('ZREM', index, unpack(names))
      redis.call('HDEL', versions, unpack(names))
    end
    keys, names = {}, {}
  end
  for i = 5, #KEYS do
    local name = string.sub(KEYS[i], ARGV[2] + 1)
    local text, expires = ARGV[3 * i - 11], ARGV[3 * i - 10]
    if text == '-' then
      keys[#keys + 1] = KEYS[i]
      names[#names + 1] = name
      if #keys == ${AT_ONCE} then remove() end
    else
      remove()
      if not isNewer then redis.call('SET', last, version) end
      isNewer = true
      redis.call('ZADD', index, 0, name)
      redis.call('HSET', versions, name, version)
      redis.call('SET', KEYS[i], string.sub(text, 2))
      if expires ~= '' then redis.call('PEXPIREAT', KEYS[i], expires) end
    end
  end
  remove()
end
redis.call('SET', KEYS[4], answer, 'PX', ARGV[1])
return answer`;

/** Newer than any version: of texts below a beginning, only the names are wanted. */
export const NAMES_ONLY = "9e15";

/**
 * What there is of some names and below some beginnings, as of one moment. KEYS: the index, the versions, the last version.
 * ARGV: what stands before each name, about how many bytes of text may come, how many names follow, these, and then of
 * each beginning a version and the beginning itself. Returns the last version, and then three of each: name, version and
 * text; the text is missing below a beginning where it is not newer than the version given, and everywhere once so many
 * bytes came, some texts at least. Of {@link NAMES_ONLY} no versions come either. Names whose text expired leave the
 * index, where this server takes writes.
 */
export const FIND = `
local index, versions, last = KEYS[1], KEYS[2], KEYS[3]
local found, gone, room = { redis.call('GET', last) or '0' }, {}, tonumber(ARGV[2])
local function add(names, since, isListed)
  for from = 1, #names, ${AT_ONCE} do
    local some, keys, known, fresh = {}, {}, {}, {}
    for i = from, math.min(from + ${AT_ONCE} - 1, #names) do
      some[#some + 1] = names[i]
      keys[#keys + 1] = ARGV[1] .. names[i]
    end
    if since < ${NAMES_ONLY} then known = redis.call('HMGET', versions, unpack(some)) end
    local isRoom = room > 0
    for i = 1, #some do
      if isRoom and tonumber(known[i] or '0') > since then fresh[#fresh + 1] = keys[i] end
    end
    if #fresh > 0 then fresh = redis.call('MGET', unpack(fresh)) end
    local areThere = redis.call('EXISTS', unpack(keys)) == #keys
    local at = 0
    for i = 1, #some do
      local text = false
      if isRoom and tonumber(known[i] or '0') > since then
        at = at + 1
        text = fresh[at]
        if text then room = room - #text end
      end
      if text or areThere or redis.call('EXISTS', keys[i]) == 1 then
        found[#found + 1] = some[i]
        found[#found + 1] = known[i] or ''
        found[#found + 1] = text
      elseif isListed then
        gone[#gone + 1] = some[i]
      end
    end
  end
end
local given = {}
for i = 4, 3 + ARGV[3] do given[#given + 1] = ARGV[i] end
add(given, -1, false)
for i = 4 + ARGV[3], #ARGV, 2 do
  local beginning = ARGV[i + 1]
  add(redis.call('ZRANGEBYLEX', index, '[' .. beginning, '(' .. beginning .. '\\127'), tonumber(ARGV[i]), true)
end
for i = 1, #gone do
  redis.pcall('ZREM', index, gone[i])
  redis.pcall('HDEL', versions, gone[i])
end
return found`;
