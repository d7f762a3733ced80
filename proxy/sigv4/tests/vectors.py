"""Makes vectors.json: requests signed by botocore, an implementation that is not ours.

Run with botocore installed: python3 vectors.py > vectors.json
"""

import datetime
import json

import botocore.auth
import botocore.awsrequest
import botocore.credentials

NOW = datetime.datetime(2026, 11, 21, 2, 15, 50, tzinfo=datetime.timezone.utc)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CASES = [
    ("awsJson", "POST", "http://127.0.0.1:8080/", {"X-Amz-Target": "AWSCognitoIdentityProviderService.ListUserPools", "Content-Type": "application/x-amz-json-1.1"}, '{"MaxResults":10}', "cognito-idp", None),
    ("empty body", "GET", "https://auth.example.com/", {}, "", "cognito-idp", None),
    ("session token", "POST", "https://auth.example.com/", {"X-Amz-Target": "VerifiedPermissions.IsAuthorized"}, "{}", "verifiedpermissions", "IQoJb3JpZ2luX2VjEXAMPLE//="),
    ("query", "GET", "https://sync.example.com/identitypools?maxResults=5&nextToken=a%2Fb&nextToken=a%20a&z=", {}, "", "cognito-sync", None),
    ("encoded path", "GET", "https://sync.example.com/identitypools/us-east-1%3A9f/identities/x%20y~", {}, "", "cognito-sync", None),
    ("dots and slashes", "GET", "https://sync.example.com/a/./b//../c/", {}, "", "cognito-sync", None),
    ("spaces in a header", "POST", "https://auth.example.com/", {"X-Amz-Meta-Note": "  a   b  c "}, "Ä€", "cognito-idp", None),
    ("form", "POST", "https://sts.example.com/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, "Action=GetCallerIdentity&Version=2011-06-15", "sts", None),
]


def main():
    botocore.auth.get_current_datetime = lambda: NOW
    vectors = []
    for name, method, url, headers, body, service, token in CASES:
        credentials = botocore.credentials.Credentials("AKIDEXAMPLE", SECRET, token)
        request = botocore.awsrequest.AWSRequest(method, url, headers=headers, data=body.encode())
        signer = botocore.auth.SigV4Auth(credentials, service, "eu-west-1")
        signer.add_auth(request)
        sent = {key: value for key, value in request.headers.items()}
        sent["Host"] = request.url.split("/")[2]
        vectors.append({"name": name, "method": method, "url": request.url, "headers": sent, "body": body, "service": service})
    print(json.dumps({"secret": SECRET, "now": int(NOW.timestamp()), "vectors": vectors}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
