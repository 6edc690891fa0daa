package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imqueue/emq/admin/alert"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker"
)

// What README.zh-CN.md says where the code has English alone.

var kindsZh = map[tasks.Kind]string{
	tasks.KindMessageSend:      "向用户、群组、聊天室，或群组、聊天室的部分成员发送消息",
	tasks.KindMessageRecall:    "撤回消息",
	tasks.KindMessageBroadcast: "向所有用户、所有在线用户或所有活跃聊天室发送消息",

	tasks.KindGroupCreate:          "创建群组",
	tasks.KindGroupUpdate:          "修改群组信息",
	tasks.KindGroupDelete:          "解散群组",
	tasks.KindGroupTransferOwner:   "转让群组，由某个成员任群主",
	tasks.KindGroupAddMembers:      "添加群成员",
	tasks.KindGroupRemoveMembers:   "移出群成员",
	tasks.KindGroupAddAdmin:        "将群成员设为管理员",
	tasks.KindGroupRemoveAdmin:     "将群管理员降为普通成员",
	tasks.KindGroupMuteMembers:     "将群成员禁言",
	tasks.KindGroupUnmuteMembers:   "解除群成员的禁言",
	tasks.KindGroupMuteAll:         "群组全员禁言",
	tasks.KindGroupUnmuteAll:       "解除群组全员禁言",
	tasks.KindGroupBlockMembers:    "将群成员加入群组黑名单",
	tasks.KindGroupUnblockMembers:  "将用户移出群组黑名单",
	tasks.KindGroupAllowMembers:    "将群成员加入群组白名单",
	tasks.KindGroupDisallowMembers: "将群成员移出群组白名单",
	tasks.KindGroupSetAnnouncement: "设置群公告",

	tasks.KindRoomCreate:          "创建聊天室",
	tasks.KindRoomUpdate:          "修改聊天室信息",
	tasks.KindRoomDelete:          "解散聊天室",
	tasks.KindRoomTransferOwner:   "转让聊天室，由某个成员任所有者",
	tasks.KindRoomAddMembers:      "添加聊天室成员",
	tasks.KindRoomRemoveMembers:   "移出聊天室成员",
	tasks.KindRoomAddAdmin:        "将聊天室成员设为管理员",
	tasks.KindRoomRemoveAdmin:     "将聊天室管理员降为普通成员",
	tasks.KindRoomMuteMembers:     "将聊天室成员禁言",
	tasks.KindRoomUnmuteMembers:   "解除聊天室成员的禁言",
	tasks.KindRoomMuteAll:         "聊天室全员禁言",
	tasks.KindRoomUnmuteAll:       "解除聊天室全员禁言",
	tasks.KindRoomBlockMembers:    "将聊天室成员加入聊天室黑名单",
	tasks.KindRoomUnblockMembers:  "将用户移出聊天室黑名单",
	tasks.KindRoomAllowMembers:    "将聊天室成员加入聊天室白名单",
	tasks.KindRoomDisallowMembers: "将聊天室成员移出聊天室白名单",
	tasks.KindRoomSetAnnouncement: "设置聊天室公告",

	tasks.KindUserRegister:      "注册用户",
	tasks.KindUserDelete:        "删除用户，连同该用户拥有的群组和聊天室",
	tasks.KindUserResetPassword: "设置用户密码",
	tasks.KindUserSetNickname:   "设置推送中显示的昵称",
	tasks.KindUserDeactivate:    "封禁用户，禁止其登录",
	tasks.KindUserActivate:      "解禁用户，允许其重新登录",
	tasks.KindUserForceOffline:  "将用户在所有设备上强制下线",
	tasks.KindUserAddContact:    "将两个用户加为好友",
	tasks.KindUserRemoveContact: "解除两个用户的好友关系",
	tasks.KindUserBlock:         "将其他用户加入某用户的黑名单",
	tasks.KindUserUnblock:       "将某个用户移出某用户的黑名单",
	tasks.KindUserMute:          "在整个应用内将用户禁言",
	tasks.KindUserSetAttributes: "设置用户属性",

	tasks.KindCallRaw: "任意调用：方法、路径和 JSON 请求体",
}

var endpointsZh = map[tasks.Endpoint]string{
	"messages.users":            "发给用户的消息",
	"messages.groups":           "发给群组的消息",
	"messages.rooms":            "发给聊天室的消息",
	"messages.group_members":    "发给群组部分成员的消息",
	"messages.room_members":     "发给聊天室部分成员的消息",
	"messages.recall":           "撤回消息",
	"messages.broadcast_users":  "发给应用内所有用户的消息",
	"messages.broadcast_online": "发给所有在线用户的消息",
	"messages.broadcast_rooms":  "发给所有活跃聊天室的消息",
	"messages.other":            "其他与消息有关的调用",

	"groups.create":           "创建群组",
	"groups.update":           "修改群组和转让群主：两者是同一个接口",
	"groups.delete":           "解散群组",
	"groups.add_members":      "添加群成员",
	"groups.remove_members":   "移出群成员",
	"groups.add_admin":        "设置群管理员",
	"groups.remove_admin":     "撤销群管理员",
	"groups.mute_members":     "群成员禁言",
	"groups.unmute_members":   "解除群成员禁言",
	"groups.mute_all":         "群组全员禁言",
	"groups.unmute_all":       "解除群组全员禁言",
	"groups.block_members":    "将用户加入群组黑名单",
	"groups.unblock_members":  "将用户移出群组黑名单",
	"groups.allow_members":    "将成员加入群组白名单",
	"groups.disallow_members": "将成员移出群组白名单",
	"groups.set_announcement": "群公告",
	"groups.other":            "其他与群组有关的调用",

	"rooms.create":           "创建聊天室",
	"rooms.update":           "修改聊天室和转让所有者：两者是同一个接口",
	"rooms.delete":           "解散聊天室",
	"rooms.add_members":      "添加聊天室成员",
	"rooms.remove_members":   "移出聊天室成员",
	"rooms.add_admin":        "设置聊天室管理员",
	"rooms.remove_admin":     "撤销聊天室管理员",
	"rooms.mute_members":     "聊天室成员禁言",
	"rooms.unmute_members":   "解除聊天室成员禁言",
	"rooms.mute_all":         "聊天室全员禁言",
	"rooms.unmute_all":       "解除聊天室全员禁言",
	"rooms.block_members":    "将用户加入聊天室黑名单",
	"rooms.unblock_members":  "将用户移出聊天室黑名单",
	"rooms.allow_members":    "将成员加入聊天室白名单",
	"rooms.disallow_members": "将成员移出聊天室白名单",
	"rooms.set_announcement": "聊天室公告",
	"rooms.other":            "其他与聊天室有关的调用",

	"users.account":        "用户账号：注册、删除、密码等共用一个限额",
	"users.add_contact":    "添加好友",
	"users.remove_contact": "删除好友",
	"users.block":          "将用户加入其他用户的黑名单",
	"users.unblock":        "将用户移出其他用户的黑名单",
	"users.mute":           "在整个应用内将用户禁言",
	"users.set_attributes": "用户属性",
	"users.other":          "其他与用户有关的调用",
}

// settingsZh has the meaning of each setting, and its default where the code
// says it in words.
var settingsZh = map[string]struct{ meaning, shown string }{
	"config":            {"配置文件", "./" + configFile + "（若存在）"},
	"redis_url":         {meaning: "存放队列和死信的 Redis；带 `?cluster=true` 时为 Cluster，带 `?master_name=NAME` 时为 Sentinel"},
	"app":               {"应用的别名：任务未指明应用时归属于它，下面四项设置说的也是它", configFile + " 中唯一的应用，否则为 `" + tasks.AppDefault + "`"},
	"app_key":           {meaning: "应用的 App Key，与环信控制台所示一致"},
	"easemob_url":       {meaning: "应用所在数据中心的协议和域名，例如 `https://a1.easemob.com`；`/org/app/…` 由 emq 补上"},
	"client_id":         {meaning: "应用的 Client ID"},
	"client_secret":     {meaning: "应用的 Client Secret"},
	"concurrency":       {meaning: fmt.Sprintf("每个应用的每一类接口同时进行的调用数，1 至 %d", worker.ConcurrencyMax)},
	"call_timeout":      {meaning: "单次调用的时限，包括读取应答"},
	"drain_timeout":     {meaning: "worker 停止时，等待进行中的调用结束的最长时间"},
	"id_retention":      {meaning: "送达之后，入队时指定的任务 ID 继续占用多久"},
	"dead_letters_keep": {meaning: "已解决、已丢弃的死信保留多久；其余的一直保留，直到有人处理"},
	"dead_letters_warn": {meaning: "一个 app 的死信达到多少条时，worker 和 `emq doctor` 发出警告；`off` 表示不警告。绝不会因此丢弃死信"},
	"audit_keep":        {meaning: "`emq audit` 保留操作记录的时长"},
	"alert_link":        {meaning: "emq 网页的地址，用于告警中的链接"},
	"alert_backlog":     {meaning: "到期任务等待超过此时长即告警"},
	"alert_pace":        {meaning: "已知原因每分钟新增的死信达到此数即再次告警；`off` 表示不告警"},
	"alert_remind":      {meaning: "问题持续期间多久提醒一次，至少 " + shortDuration(alert.RemindMin)},
	"health":            {meaning: "worker 提供 /healthz 和 /readyz 的地址；`off` 表示不提供"},
	"log_format":        {meaning: "`text`、`json`，或写入系统日志的 `syslog`"},
	"log_level":         {meaning: "`debug`、`info`、`warn` 或 `error`"},
	"rules":             {meaning: "自定义的应答规则文件，先于内置规则匹配；用 `emq rules check` 检查"},
	"otlp_endpoint":     {"worker 和 `emq enqueue` 以 OTLP/HTTP 发送链路追踪数据的地址，例如 `http://127.0.0.1:4318`；URL 不带路径时补上 `/v1/traces`", "`off`"},
	"otlp_headers":      {meaning: "这些请求的请求头，例如用于认证：`name=value,name=value`，值须百分号编码"},
	"trace_ratio":       {meaning: "由 emq 发起的链路中保留的比例，0 至 1；请求自带的链路是否保留，以请求为准"},
	"lang":              {"解释所用的语言：`en` 或 `zh`", "取自 locale，否则为 `en`"},
}

// chineseSettings is the table of all settings with Chinese texts.
func chineseSettings() []setting {
	rows := settings()
	for i := range rows {
		zh := settingsZh[rows[i].key]
		rows[i].meaning, rows[i].shown = zh.meaning, zh.shown
	}
	return rows
}

func TestChineseTextsAreComplete(t *testing.T) {
	t.Parallel()
	for _, info := range tasks.Kinds() {
		if kindsZh[info.Kind] == "" {
			t.Errorf("kind %s has no Chinese text", info.Kind)
		}
	}
	for _, info := range tasks.Endpoints() {
		if endpointsZh[info.Endpoint] == "" {
			t.Errorf("endpoint %s has no Chinese text", info.Endpoint)
		}
	}
	for _, s := range settings() {
		if zh := settingsZh[s.key]; zh.meaning == "" || (zh.shown == "") != (s.shown == "") {
			t.Errorf("setting %s has no Chinese text, or one for a default too few or too many", s.key)
		}
	}
	if len(kindsZh) != len(tasks.Kinds()) || len(endpointsZh) != len(tasks.Endpoints()) || len(settingsZh) != len(settings()) {
		t.Error("Chinese texts for kinds, endpoints or settings that don't exist")
	}
}

// TestREADMEsHaveTheSameParts compares what does not depend on the language:
// levels of headings, rows of tables, and examples apart from their comments.
func TestREADMEsHaveTheSameParts(t *testing.T) {
	t.Parallel()
	part := regexp.MustCompile("(?ms)^```[a-z]+\n.*?^```$|^#+ |^\\|")
	comment := regexp.MustCompile(`(?m) *(//|#) .*$`)
	var parts [2][]string
	for i, name := range []string{"README.md", "README.zh-CN.md"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range part.FindAllString(string(raw), -1) {
			if strings.HasPrefix(p, "```") {
				p = comment.ReplaceAllString(p, "")
			}
			parts[i] = append(parts[i], p)
		}
	}
	if en, zh := parts[0], parts[1]; !slices.Equal(en, zh) {
		i := 0
		for i < min(len(en), len(zh)) && en[i] == zh[i] {
			i++
		}
		t.Errorf("README.md and README.zh-CN.md part at\n%q\n%q", en[i:min(i+1, len(en))], zh[i:min(i+1, len(zh))])
	}
}
