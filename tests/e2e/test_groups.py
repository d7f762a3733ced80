"""Groups and who is in them."""

from portcullis import claims, refused


def test_a_groups_life(idp, pool):
    this = pool()
    made = idp.create_group(GroupName="readers", UserPoolId=this.id, Description="who reads", Precedence=5)["Group"]
    assert (made["GroupName"], made["UserPoolId"], made["Description"], made["Precedence"]) == ("readers", this.id, "who reads", 5)  # fmt: skip
    assert made["CreationDate"] and made["LastModifiedDate"]
    with refused("GroupExistsException"):
        idp.create_group(GroupName="readers", UserPoolId=this.id)
    idp.update_group(GroupName="readers", UserPoolId=this.id, Description="", Precedence=1)
    got = idp.get_group(GroupName="readers", UserPoolId=this.id)["Group"]
    assert got["Precedence"] == 1
    idp.delete_group(GroupName="readers", UserPoolId=this.id)
    for call in (idp.get_group, idp.delete_group, idp.update_group):
        with refused("ResourceNotFoundException"):
            call(GroupName="readers", UserPoolId=this.id)


def test_members_and_their_tokens(idp, pool, user, sign_in):
    this = pool()
    username = user(this.id)
    for group, precedence, role in (("low", 9, "arn:aws:iam::000000000000:role/low"), ("high", 1, "arn:aws:iam::000000000000:role/high")):  # fmt: skip
        idp.create_group(GroupName=group, UserPoolId=this.id, Precedence=precedence, RoleArn=role)
        idp.admin_add_user_to_group(UserPoolId=this.id, Username=username, GroupName=group)
        # Twice is once.
        idp.admin_add_user_to_group(UserPoolId=this.id, Username=username, GroupName=group)
    tokens = sign_in(this.client_id, username)
    access, identity = claims(tokens["AccessToken"]), claims(tokens["IdToken"])
    assert sorted(access["cognito:groups"]) == sorted(identity["cognito:groups"]) == ["high", "low"]
    assert sorted(identity["cognito:roles"]) == ["arn:aws:iam::000000000000:role/high", "arn:aws:iam::000000000000:role/low"]  # fmt: skip
    assert identity["cognito:preferred_role"] == "arn:aws:iam::000000000000:role/high"
    assert "cognito:roles" not in access

    listed = idp.admin_list_groups_for_user(UserPoolId=this.id, Username=username)["Groups"]
    assert sorted(group["GroupName"] for group in listed) == ["high", "low"]
    members = idp.list_users_in_group(UserPoolId=this.id, GroupName="low")["Users"]
    assert [entry["Username"] for entry in members] == [username]

    idp.admin_remove_user_from_group(UserPoolId=this.id, Username=username, GroupName="low")
    idp.delete_group(UserPoolId=this.id, GroupName="high")
    assert "cognito:groups" not in claims(sign_in(this.client_id, username)["AccessToken"])
    with refused("UserNotFoundException"):
        idp.admin_add_user_to_group(UserPoolId=this.id, Username="nobody", GroupName="low")
    with refused("ResourceNotFoundException"):
        idp.admin_add_user_to_group(UserPoolId=this.id, Username=username, GroupName="absent")


def test_lists_page(idp, pool, user):
    this = pool()
    for number in range(5):
        idp.create_group(GroupName=f"g{number}", UserPoolId=this.id)
        username = user(this.id, f"m{number}")
        idp.admin_add_user_to_group(UserPoolId=this.id, Username=username, GroupName="g0")
        idp.admin_add_user_to_group(UserPoolId=this.id, Username="m0", GroupName=f"g{number}")

    def pages(call, member, name, **more):
        seen, token = [], None
        while True:
            page = call(UserPoolId=this.id, Limit=2, **more, **({"NextToken": token} if token else {}))
            assert len(page[member]) <= 2
            seen += [entry[name] for entry in page[member]]
            if not (token := page.get("NextToken")):
                return sorted(seen)

    groups, members = [f"g{number}" for number in range(5)], [f"m{number}" for number in range(5)]
    assert pages(idp.list_groups, "Groups", "GroupName") == groups
    assert pages(idp.admin_list_groups_for_user, "Groups", "GroupName", Username="m0") == groups
    assert pages(idp.list_users_in_group, "Users", "Username", GroupName="g0") == members
