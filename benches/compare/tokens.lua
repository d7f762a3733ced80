-- wrk: the tokens of a file in turn, from one on, from the first again after the last.
local tokens, at = {}, 0

function init(args)
   for line in io.lines(args[1]) do
      tokens[#tokens + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. line })
   end
   at = tonumber(args[2])
end

function request()
   at = at % #tokens + 1
   return tokens[at]
end
