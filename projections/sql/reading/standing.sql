-- W1, W2: what one person is to a workspace ('' for nobody), which apps the person owns, and which it works on.
SELECT
    (SELECT max(role) FROM people WHERE workspace = {workspace:String} AND user = {user:String}) AS role,
    (SELECT groupArray(app) FROM app_profiles WHERE workspace = {workspace:String} AND owner = {user:String}) AS owned,
    (SELECT groupArray(app) FROM collaborators WHERE workspace = {workspace:String} AND user = {user:String}) AS worked_on
